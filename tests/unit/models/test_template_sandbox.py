"""A template from a stranger's file can neither run long, nor grow large, nor get out."""

import time

import pytest
from jinja2 import TemplateError

from smidgen.models.sandbox import TemplateSandbox

HOSTILE = {
    "a huge range": "{% for i in range(10**12) %}x{% endfor %}",
    "a range made long by a product": "{% for i in range(100000*100000) %}{% endfor %}",
    "nested loops without output": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
        "{% endfor %}{% endfor %}{% endfor %}"
    ),
    "a loop over a repeated text": "{% for c in 'a' * 1000000 %}{% for d in 'b' * 1000000 %}{% endfor %}{% endfor %}",
    "a repeated text": "{{ 'a' * 10000000000 }}",
    "a repeated list": "{{ [1] * 10000000000 }}",
    "a repeated repeated list": "{{ ([[1] * 300] * 300) * 300 }}",
    "a huge power": "{{ 9 ** 9 ** 9 }}",
    "a growing number": (
        "{% set ns = namespace(x=99) %}{% for i in range(90) %}{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}"
    ),
    "doubling by tilde": "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubling by plus": "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "doubling a list": "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "doubling by replace": (
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x | replace('a', 'aa') %}{% endfor %}"
    ),
    "doubling by the method replace": (
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x.replace('a', 'aa') %}{% endfor %}"
    ),
    "doubling by join": (
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] | join %}{% endfor %}"
    ),
    "doubling by the method join": (
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x.join([ns.x, ns.x]) %}{% endfor %}"
    ),
    "doubling by a captured block": (
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}"
        "{% set ns.x = y %}{% endfor %}"
    ),
    "doubling by a format": (
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = '%s%s' % (ns.x, ns.x) %}{% endfor %}"
    ),
    "a list within itself, written": (
        "{% set ns = namespace(x=['a']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}"
    ),
    "a list within itself, as JSON": (
        "{% set ns = namespace(x=['a']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
        "{{ ns.x | tojson }}"
    ),
    "two lists within themselves, compared": (
        "{% set ns = namespace(x=['a'], y=['a']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
        "{% set ns.y = [ns.y, ns.y] %}{% endfor %}{% if ns.x == ns.y %}same{% endif %}"
    ),
    "two lists within themselves, compared by a test": (
        "{% set ns = namespace(x=['a'], y=['a']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
        "{% set ns.y = [ns.y, ns.y] %}{% endfor %}{% if ns.x is eq(ns.y) %}same{% endif %}"
    ),
    "a namespace within itself": "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
    "a tuple within itself as a key": (
        "{% set ns = namespace(x=('a',)) %}{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}"
        "{% set d = {} %}{{ d[ns.x] }}"
    ),
    "a tuple within itself as a literal's key": (
        "{% set ns = namespace(x=('a',)) %}{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}"
        "{% set d = {ns.x: 1} %}{{ d }}"
    ),
    "a wide format": "{{ '%1000000000d' % 1 }}",
    "a starred format": "{{ '%*d' % (1000000000, 1) }}",
    "the method format": "{{ '{:>1000000000}'.format(1) }}",
    "the method format with an attribute": "{{ '{0.__class__}'.format(1) }}",
    "the method format with a nested width": "{{ '{:{}}'.format(1, 1000000000) }}",
    "the method format_map": "{{ '{a}'.format_map({'a': 1}) }}",
    "doubling by the method format": (
        "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = '{0}{0}'.format(n.x) %}{% endfor %}"
    ),
    "the method center": "{{ 'a'.center(1000000000) }}",
    "the method zfill": "{{ 'a'.zfill(1000000000) }}",
    "the method expandtabs": "{{ '\t'.expandtabs(1000000000) }}",
    "the filter center": "{{ 'a' | center(1000000000) }}",
    "the filter indent": "{{ ('a\n' * 1000) | indent('b' * 100000) }}",
    "lorem ipsum": "{{ lipsum(n=1000000000) }}",
    "a macro that calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a macro that calls itself twice": (
        "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}"
    ),
    "a loop that calls itself": ("{% for i in range(99999) recursive %}{{ loop(range(99999)) }}{% endfor %}"),
    "a long chain of lazy filters": (
        "{% for i in range(9999) %}{{ range(99999) | map('string') | map('upper') | join | length }}{% endfor %}"
    ),
    "much output": "{% for i in range(99999) %}{{ 'abcdefghij' * 1000 }}{% endfor %}",
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "classes by filter": "{{ '' | attr('__class__') }}",
    "globals of a function": "{{ raise_exception.__globals__['os'] }}",
    "globals through a macro": "{% macro m() %}{% endmacro %}{{ m.__init__.__globals__ }}",
    "globals through an undefined name": "{{ nothing.__init__.__globals__ }}",
    "an unbound formatter": "{{ '{0.__class__}'.format(1) }}",
    "changing a list": "{{ messages.append(1) }}",
    "changing a dictionary": "{{ messages[0].update(a=1) }}",
    "including a file": "{% include '/etc/passwd' %}",
    "importing": "{% import 'os' as os %}",
    "deep brackets": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "deep blocks": "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "many loops in each other": "{% for i in 'ab' %}" * 50 + "x" + "{% endfor %}" * 50,
    "an endless number": "{{ " + "9" * 100_000 + " }}",
    "a very long text": "x" * 200_000,
    "broken syntax": "{% for %}",
    "an unknown filter": "{{ 1 | no_such_filter }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_refused_in_bounded_time(name: str) -> None:
    started = time.thread_time()
    with pytest.raises((TemplateError, RecursionError, SyntaxError, TypeError, ValueError, MemoryError)):
        TemplateSandbox().render(HOSTILE[name], {"messages": [{"role": "user"}]}, input_characters=4)
    assert time.thread_time() - started < 20, "bounded, not measured: the limit is one second of processor time"


HARMLESS = {
    "{{ '{}-{a}'.format(1, a='b') }}": "1-b",
    "{{ [''] | map(attribute='__class__') | list }}": "[Undefined]",
    "{{ 'a' ~ 1 ~ none }}": "a1None",
    "{{ 1 + 2 }}{{ 'a' + 'b' }}{{ [1] + [2] }}": "3ab[1, 2]",
    "{{ '-' * 3 }}{{ 2 ** 10 }}{{ 7 // 2 }}{{ 7 % 4 }}{{ '%s=%d' % ('a', 1) }}": "---102433a=1",
    "{% for i in range(3) %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}": "1/3,2/3,3/3",
    "{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}": "13",
    "{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}": "1",
    "{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}": "a=1",
    "{% for i in nothing %}x{% else %}none{% endfor %}": "none",
    "{% for i in [1, 2, 3] if i > 1 %}{{ i }}{% endfor %}": "23",
    "{{ {'a': '<é>', 'b': [1, none]} | tojson }}": '{"a": "<é>", "b": [1, null]}',
    "{{ {'a': 1} | tojson(indent=2) }}": '{\n  "a": 1\n}',
    "{{ ['a', 'b'] | join(', ') }}{{ ', '.join(['c']) }}": "a, bc",
    "{{ 'a-b' | replace('-', '+') }}{{ 'x y'.split(' ')[1] }}{{ ' z '.strip() }}": "a+byz",
    "{{ 'a\nb' | indent(2) }}": "a\n  b",
    "{{ 'a\nb' | indent(2, true) }}": "  a\n  b",
    "{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m('a') }}{{ m(x='b') }}": "[a][b]",
    "{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}": "6",
    "{% generation %}said{% endgeneration %}": "said",
    "{{ [1, 2, 3] | select('odd') | list }}{{ [{'a': 1}] | map(attribute='a') | first }}": "[1, 3]1",
    "{{ 'a' in 'abc' }}{{ 1 == 1.0 }}{{ 3 > 2 }}{{ x is defined }}{{ x == 'a' }}": "TrueTrueTrueFalseFalse",
    "{% set x %}captured {{ 1 }}{% endset %}{{ x }}": "captured 1",
    "{%- for message in messages[::-1] %}{{ message.role }}{% endfor %}": "user",
}


@pytest.mark.parametrize("source", HARMLESS)
def test_what_templates_ordinarily_do_works_as_in_jinja(source: str) -> None:
    rendered = TemplateSandbox().render(source, {"messages": [{"role": "user"}]}, input_characters=4)
    assert rendered == HARMLESS[source]


def test_a_render_leaves_no_limits_behind() -> None:
    sandbox = TemplateSandbox()
    for _ in range(3):
        with pytest.raises(TemplateError):
            sandbox.render(
                "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", {}, input_characters=0
            )
    assert sandbox.render("{{ 'ok' }}", {}, input_characters=0) == "ok"


def test_the_output_may_be_as_long_as_the_conversation_needs() -> None:
    text = "a" * 3_000_000
    assert TemplateSandbox().render("{{ x ~ '!' }}", {"x": text}, input_characters=len(text)) == text + "!"

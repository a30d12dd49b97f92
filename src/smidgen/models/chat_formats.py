"""Chat formats as short Jinja templates, for files without a template or with a broken one.

Each writes the markers that the family was trained with (from the models' cards and tokenizers) and nothing else: no
default system prompt, no tools, no checks. Variables: messages, add_generation_prompt, bos_token, eos_token. Contents
are stripped only where the family's own template does so.
"""

from __future__ import annotations

from collections.abc import Mapping

CHATML = """\
{%- for message in messages -%}
{{ '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif -%}
"""

LLAMA_2 = """\
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}
{%- set ns.system = '<<SYS>>\\n' ~ message.content ~ '\\n<</SYS>>\\n\\n' -%}
{%- elif message.role == 'assistant' -%}
{{ ' ' ~ message.content | trim ~ ' ' ~ eos_token }}
{%- else -%}
{{ bos_token ~ '[INST] ' ~ ns.system ~ message.content | trim ~ ' [/INST]' }}
{%- set ns.system = '' -%}
{%- endif -%}
{%- endfor -%}
"""

MISTRAL = """\
{{- bos_token -}}
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}
{%- set ns.system = message.content ~ '\\n\\n' -%}
{%- elif message.role == 'assistant' -%}
{{ ' ' ~ message.content | trim ~ eos_token }}
{%- else -%}
{{ '[INST] ' ~ ns.system ~ message.content ~ ' [/INST]' }}
{%- set ns.system = '' -%}
{%- endif -%}
{%- endfor -%}
"""

LLAMA_3 = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- set role = 'ipython' if message.role == 'tool' else message.role -%}
{{ '<|start_header_id|>' ~ role ~ '<|end_header_id|>\\n\\n' ~ message.content | trim ~ '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif -%}
"""

GEMMA = """\
{{- bos_token -}}
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}
{%- set ns.system = message.content ~ '\\n\\n' -%}
{%- else -%}
{%- set role = 'model' if message.role == 'assistant' else 'user' -%}
{{ '<start_of_turn>' ~ role ~ '\\n' ~ ns.system ~ message.content | trim ~ '<end_of_turn>\\n' }}
{%- set ns.system = '' -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif -%}
"""

GEMMA_4 = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- set role = {'assistant': 'model', 'tool': 'user'}.get(message.role, message.role) -%}
{{ '<|turn>' ~ role ~ '\\n' ~ message.content | trim ~ '<turn|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|turn>model\\n' }}{% endif -%}
"""

ZEPHYR = """\
{%- for message in messages -%}
{%- set role = 'user' if message.role == 'tool' else message.role -%}
{{ '<|' ~ role ~ '|>\\n' ~ message.content ~ eos_token ~ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif -%}
"""

PHI_3 = """\
{%- for message in messages -%}
{%- set role = 'user' if message.role == 'tool' else message.role -%}
{{ '<|' ~ role ~ '|>\\n' ~ message.content ~ '<|end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif -%}
"""

PHI_4 = """\
{%- for message in messages -%}
{%- set role = 'user' if message.role == 'tool' else message.role -%}
{{ '<|' ~ role ~ '|>' ~ message.content ~ '<|end|>' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif -%}
"""

GRANITE = """\
{%- for message in messages -%}
{%- set role = 'user' if message.role == 'tool' else message.role -%}
{{ '<|start_of_role|>' ~ role ~ '<|end_of_role|>' ~ message.content ~ '<|end_of_text|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif -%}
"""

LFM_2 = "{{- bos_token -}}\n" + CHATML

PLAIN = """\
{%- for message in messages -%}
{%- if message.role == 'system' -%}
{{ message.content ~ '\\n\\n' }}
{%- elif message.role == 'assistant' -%}
{{ 'Assistant: ' ~ message.content ~ '\\n' }}
{%- else -%}
{{ 'User: ' ~ message.content ~ '\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ 'Assistant:' }}{% endif -%}
"""

FORMATS: Mapping[str, str] = {
    "chatml": CHATML,
    "llama2": LLAMA_2,
    "llama3": LLAMA_3,
    "mistral": MISTRAL,
    "gemma": GEMMA,
    "gemma4": GEMMA_4,
    "zephyr": ZEPHYR,
    "phi3": PHI_3,
    "phi4": PHI_4,
    "granite": GRANITE,
    "lfm2": LFM_2,
    "plain": PLAIN,
}

MARKERS: tuple[tuple[str, str], ...] = (
    ("<|start_header_id|>", "llama3"),
    ("<|start_of_role|>", "granite"),
    ("<|im_start|>", "chatml"),
    ("<start_of_turn>", "gemma"),
    ("<|turn>", "gemma4"),
    ("<|end|>", "phi3"),
    ("<|assistant|>", "zephyr"),
    ("[INST]", "mistral"),
)


def recognise_format(text: str) -> str | None:
    """The key in FORMATS whose marker is in a template or a list of token texts, or None."""
    return next((name for marker, name in MARKERS if marker in text), None)

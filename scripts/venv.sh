#!/bin/sh
# Makes .venv with the first Python that will do. Usage: scripts/venv.sh TARGET [PYTHON]
set -eu

target=$1
wanted=${2:-}

# Prints why a command will not do, nothing when it will.
unfit() {
    command -v "$1" >/dev/null 2>&1 || { echo "not found"; return; }
    "$1" - 2>/dev/null <<'CHECK' || echo "does not start"
import sys
if sys.version_info < (3, 11):
    print("is Python %d.%d" % sys.version_info[:2])
else:
    try:
        import ensurepip, venv
    except ImportError:
        print("lacks the venv module")
CHECK
}

tried=""
chosen=""
for candidate in ${wanted:-python3.13 python3.12 python3.11 python3}; do
    reason=$(unfit "$candidate")
    if [ -z "$reason" ]; then
        chosen=$candidate
        break
    fi
    tried="$tried
  $candidate: $reason"
done

if [ -z "$chosen" ]; then
    cat >&2 <<MESSAGE
smidgen needs Python 3.11 or newer with its venv module. Tried:$tried

  Debian, Ubuntu   sudo apt install python3 python3-venv
  Fedora           sudo dnf install python3
  macOS            brew install python

Or name one: make PYTHON=/path/to/python3
MESSAGE
    exit 1
fi

# An environment that still starts is kept: its stamps decide what to install again.
if [ -n "$(unfit "$target/bin/python")" ]; then
    echo "Creating $target with $("$chosen" --version)"
    "$chosen" -m venv --clear "$target"
fi

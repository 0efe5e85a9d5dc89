#!/usr/bin/env bash
# Installs the real clients of the end-to-end tests in target/real-clients:
#
#   venv/    a Python environment with the packages of requirements.txt
#   claude/  the Claude Code CLI
#
# Needs python3 (with venv) and npm. Can be repeated: a client that is installed in the required version is kept.
# The directory does not depend on CARGO_TARGET_DIR, so that the tests find it without configuration.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)/target/real-clients"
claude_version=2.1.330

# The package `@anthropic-ai/claude-code` is a Node wrapper that requires Node 22. With an older Node, npm installs an
# older release without a warning. The native program, which needs no Node, is in the package of the platform.
platform() {
    local os arch libc=""
    case "$(uname -s)" in
    Linux) os=linux ;;
    Darwin) os=darwin ;;
    *) echo "no Claude Code package is known for $(uname -s)" >&2 && return 1 ;;
    esac
    case "$(uname -m)" in
    x86_64 | amd64) arch=x64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) echo "no Claude Code package is known for $(uname -m)" >&2 && return 1 ;;
    esac
    # The musl loader may be installed beside glibc, to build for musl.
    if [[ $os == linux ]] && ! getconf GNU_LIBC_VERSION >/dev/null 2>&1; then libc=-musl; fi
    echo "$os-$arch$libc"
}

install_python() {
    local installed="$root/venv/.installed"
    if cmp -s "$here/requirements.txt" "$installed" && "$root/venv/bin/python" -c 'import anthropic'; then return; fi
    rm -rf "$root/venv"
    python3 -m venv "$root/venv"
    "$root/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$installed"
}

install_claude() {
    local package link="$root/claude/claude"
    package="@anthropic-ai/claude-code-$(platform)"
    if [[ -x $link && "$(cat "$root/claude/.installed" 2>/dev/null)" == "$claude_version" ]]; then return; fi
    rm -rf "$root/claude"
    mkdir -p "$root/claude"
    npm install --prefix "$root/claude" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
        "$package@$claude_version"
    ln -s "node_modules/$package/claude" "$link"
    echo "$claude_version" >"$root/claude/.installed"
}

mkdir -p "$root"
install_python
install_claude

"$root/venv/bin/python" -c 'import anthropic; print("anthropic", anthropic.__version__)'
echo "claude-code $claude_version"

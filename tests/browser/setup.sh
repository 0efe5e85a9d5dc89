#!/usr/bin/env bash
# Installs the tools of the dashboard's browser tests in target/browser: playwright-core and axe-core, in the versions of
# package-lock.json. Neither downloads a browser: the tests use Debian's chromium.
#
# Needs npm. Can be repeated: an installation of the required versions is kept.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)/target/browser"

mkdir -p "$root"
if ! cmp -s "$here/package-lock.json" "$root/.installed"; then
    rm -rf "$root/node_modules" "$root/.installed"
    cp "$here/package.json" "$here/package-lock.json" "$root/"
    npm ci --prefix "$root" --ignore-scripts --no-audit --no-fund --loglevel=error
    cp "$here/package-lock.json" "$root/.installed"
fi
browser="$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)"
if [[ -z $browser ]]; then
    echo "chromium is missing: install the package chromium" >&2
    exit 1
fi
"$browser" --version

#!/bin/sh
# The built page (proto/page/built) was made from the sources that are here, and nobody edited it. Without Node.
# usage: page_is_built.sh SOURCE_DIR
set -eu
cd "$1"
sums=proto/page/built/sums
advice='rebuild the page: cd global-query/web && npm ci && npm run build'

sha256sum --check --quiet --strict "$sums" || { echo "$advice" >&2; exit 1; }

listed=$(sed 's/^[0-9a-f]*  //' "$sums" | LC_ALL=C sort)
present=$(find global-query/web proto/page/built -name node_modules -prune -o \
    -type f ! -name README.md ! -path "$sums" -print | LC_ALL=C sort)
[ "$listed" = "$present" ] || {
    printf 'the list of files differs:\n--- in %s\n%s\n--- here\n%s\n%s\n' "$sums" "$listed" "$present" "$advice" >&2
    exit 1
}

#!/bin/sh
# Installs libgpclient below a scratch folder and uses it as a stranger would: headers that stand for
# themselves, pkg-config, nothing exported that no header declares.
# usage: installed_library.sh CMAKE BUILD_DIR SCRATCH_DIR SOURCE_DIR CC "CFLAGS"
set -eu
cmake=$1 build=$2 scratch=$3 source=$4 cc=$5 cflags=$6

rm -rf "$scratch"
for part in gpclient gpclient-dev; do
    "$cmake" --install "$build" --prefix "$scratch" --component "$part" >/dev/null
done
pc=$(find "$scratch" -name gpclient.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
flags=$(pkg-config --define-variable=prefix="$scratch" --cflags --libs gpclient)

cd "$scratch/include/goprobe"
find . -name '*.h' | while read -r header; do
    echo "#include \"$header\"" | "$cc" -std=c17 -Wall -Wextra -Werror -fsyntax-only -I. -x c -
done

cd "$scratch"
# shellcheck disable=SC2086
"$cc" -std=c17 $cflags "$source/client/examples/top_talkers.c" $flags -o top_talkers
lib=$(dirname "$(dirname "$pc")")
if LD_LIBRARY_PATH=$lib ./top_talkers 2>usage.txt; then
    echo "top_talkers without arguments should fail" >&2
    exit 1
fi
grep -q '^usage: ' usage.txt

test -e "$lib/libgpclient.so.5"
exported=$(nm -D --defined-only "$lib/libgpclient.so.5" | awk '$2 ~ /[TDBRW]/ { print $3 }' | sed 's/@.*//')
for must in gp_client_query gp_args_set gp_result_free gp_addr_format gp_status_free gp_buf_free; do
    echo "$exported" | grep -qx "$must" || { echo "$must is not exported" >&2; exit 1; }
done
for symbol in $exported; do
    case $symbol in
    GPCLIENT_*) continue ;;
    esac
    grep -rqw "$symbol" include/goprobe || { echo "$symbol is exported, but in no header" >&2; exit 1; }
done

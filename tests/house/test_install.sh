#!/usr/bin/env bash
# Protects: `make install` into an empty folder gives all that a user needs: a program builds there by pkg-config, by CMake with
# the shared and with the static library, and runs; the library exports lt_ names alone; `make uninstall` leaves no file.
. "$(dirname "$0")/../tap.sh"
unset MAKEFLAGS MAKELEVEL MFLAGS
prefix=$T/prefix
version=$(sed -n 's/^#define LT_VERSION "\(.*\)"/\1/p' include/lathe/base.h)
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig

cat >"$T/main.c" <<'END'
#include <lathe/model.h>
#include <lathe/retrieve.h>
#include <stdio.h>

int main(void)
{
    lt_ctx *cx = lt_ctx_new(NULL);
    lt_model *m = lt_model_open(cx, "/nowhere", NULL);
    printf("%s: %s\n", LT_VERSION, lt_ctx_error(cx));
    lt_index_close(cx, NULL);
    lt_ctx_free(cx);
    return m ? 1 : 0;
}
END
mkdir "$T/project"
cp "$T/main.c" "$T/project"
cat >"$T/project/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.18)
project(uses_lathe C)
find_package(lathe ${version%.*} REQUIRED)
add_executable(shared main.c)
target_link_libraries(shared lathe::lathe)
add_executable(static main.c)
target_link_libraries(static lathe::static)
END

installed() {
    make -s install BUILD="$BUILD" PREFIX="$prefix" || return
    local file
    for file in bin/lathe include/lathe/model.h lib/liblathe.a "lib/liblathe.so.$version" lib/liblathe.so.0 lib/liblathe.so lib/pkgconfig/lathe.pc \
        lib/cmake/lathe/lathe-config.cmake share/man/man1/lathe.1 share/bash-completion/completions/lathe \
        share/zsh/site-functions/_lathe share/fish/vendor_completions.d/lathe.fish share/lathe/recipes/lib.sh; do
        [ -s "$prefix/$file" ] || { echo "$file is not there" && return 1; }
    done
    diff <(ls include/lathe) <(ls "$prefix/include/lathe") && diff <(ls recipes) <(ls "$prefix/share/lathe/recipes") &&
        diff <(lathe recipe list) <("$prefix/bin/lathe" recipe list)
}
pages_read() { # one page a verb, each well-formed
    local page verb
    for verb in $("$prefix/bin/lathe" list verb | cut -f 2); do
        [ -s "$prefix/share/man/man1/lathe-$verb.1" ] || { echo "lathe-$verb.1 is not there" && return 1; }
    done
    for page in "$prefix"/share/man/man1/*.1; do
        grep -q '^\.SH' "$page" || { echo "$page has no section" && return 1; }
        if command -v groff >/dev/null && groff -man -Tutf8 -ww "$page" 2>&1 >/dev/null | grep .; then return 1; fi
    done
}
completes() { bash -c '. "$1/share/bash-completion/completions/lathe" && complete -p lathe' - "$prefix"; }
runs() { # PROGRAM [LIBRARY FOLDER]
    local out
    out=$(LD_LIBRARY_PATH=${2:-} "$1") && grep "^$version: .*/nowhere" <<<"$out"
}
by_pkg_config() {
    ${CC:-cc} -Wall -Werror -o "$T/shared" "$T/main.c" $(pkg-config --cflags --libs lathe) &&
        readelf -d "$T/shared" | grep -q 'NEEDED.*liblathe\.so\.0' && runs "$T/shared" "$prefix/lib"
}
by_pkg_config_static() {
    ${CC:-cc} -Wall -Werror -o "$T/static" "$T/main.c" $(pkg-config --cflags lathe) "$prefix/lib/liblathe.a" \
        $(pkg-config --static --libs-only-l lathe | sed 's/-llathe //') -pthread && runs "$T/static"
}
by_cmake() {
    cmake -S "$T/project" -B "$T/cmake" -DCMAKE_PREFIX_PATH="$prefix" && cmake --build "$T/cmake" &&
        runs "$T/cmake/shared" && runs "$T/cmake/static"
}
exports_only_lt() {
    nm -D --defined-only "$prefix/lib/liblathe.so" | awk '{ print $3 }' >"$T/exported"
    grep -q '^lt_embed$' "$T/exported" && ! grep -v '^lt_' "$T/exported"
}
declared_is_exported() { # each function of the public headers is in the library
    local bad=0 name
    for name in $(sed 's,/\*.*\*/,,' include/lathe/*.h | grep -v '^ *static\|typedef\|define\|^ \*\|(\*' | grep -oE '\blt_[a-z0-9_]+\(' | tr -d '(' | sort -u); do
        grep -qx "$name" "$T/exported" || grep -q "inline.* \**$name(" include/lathe/*.h || { echo "$name is declared, but not there" && bad=1; }
    done
    return $bad
}
into_destdir() {
    make -s install BUILD="$BUILD" DESTDIR="$T/a root" PREFIX=/usr &&
        [ -x "$T/a root/usr/bin/lathe" ] && grep -q '^prefix=/usr$' "$T/a root/usr/lib/pkgconfig/lathe.pc"
}
uninstalled() {
    make -s uninstall BUILD="$BUILD" PREFIX="$prefix" && ! find "$prefix" -type f -o -type l | grep . && [ ! -e "$prefix/include/lathe" ]
}

check "make install" installed
check "man pages, one a verb" pages_read
check "bash completion loads" completes
check "a program by pkg-config" by_pkg_config
check "a program by pkg-config, static" by_pkg_config_static
if command -v cmake >/dev/null; then
    check "a CMake project, shared and static" by_cmake
else
    skip "a CMake project, shared and static" "no cmake"
fi
check "the shared library exports lt_ names alone" exports_only_lt
check "what the headers declare is exported" declared_is_exported
check "make install under DESTDIR" into_destdir
check "make uninstall" uninstalled
done_testing

#!/usr/bin/env bash
# Protects the order of the house: the rooms are those of the table in docs/architecture.md, a room includes headers only of
# itself and of rooms above it, the command only public ones; every header compiles alone; the library neither prints nor exits.
. "$(dirname "$0")/../tap.sh"

# "room header header ..." a line, in the order of the table whose rows are | `room/` | `header.h`, ... | ...
sed -n 's/^| `\([a-z]*\)\/` | \([^|]*\)|.*/\1 \2/p' docs/architecture.md | tr -d '`,' >"$T/rooms"

rooms_are_the_folders() { diff <(cut -d' ' -f1 "$T/rooms" | sort) <(ls src | sort); }
headers_are_the_files() { diff <(cut -d' ' -f2- "$T/rooms" | tr ' ' '\n' | grep '\.h$' | sort) <(ls include/lathe | sort); }
includes_point_upwards() {
    grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' src include |
        awk -v rooms="$T/rooms" '
            BEGIN {
                while ((getline < rooms) > 0) { place[$1] = ++n; for (i = 2; i <= NF; i++) home["lathe/" $i] = $1 }
            }
            {
                split($0, part, ":")
                file = part[1]
                match($0, /"[^"]*"/)
                header = substr($0, RSTART + 1, RLENGTH - 2)
                split(file, f, "/")
                mine = f[1] == "src" ? f[2] : home["lathe/" f[3]]
                split(header, h, "/")
                theirs = header in home ? home[header] : h[1]
                if (!(theirs in place)) wrong = "belongs to no room"
                else if (place[theirs] > place[mine]) wrong = "lies below " mine "/"
                else if (mine == "cli" && h[1] != "lathe" && h[1] != "cli") wrong = "is not public"
                else if (f[1] == "include" && h[1] != "lathe") wrong = "is not public"
                else next
                print file ":" part[2] ": " header " " wrong
                bad = 1
            }
            END { exit bad }'
}
headers_stand_alone() {
    local flags='-std=gnu11 -D_GNU_SOURCE -DLT_ISA=base -DLT_REAL=float -Iinclude -Isrc -Wall -Werror -Wno-unused-function -fsyntax-only'
    local bad=0 header
    for header in $(find include src -name '*.h'); do
        # shellcheck disable=SC2046,SC2086
        printf '#include "%s"\n' "$header" | ${CC:-cc} $flags $(pkg-config --cflags sqlite3 libutf8proc libpcre2-8) -I. -x c - || bad=1
    done
    return $bad
}
public_headers_are_cxx() {
    local bad=0 header
    for header in include/lathe/*.h; do
        printf '#include "%s"\n' "$header" | c++ -std=c++17 -Iinclude -I. -Wall -Werror -fsyntax-only -x c++ - || bad=1
    done
    return $bad
}
named_files_exist() {
    local bad=0 file
    for file in $(grep -ohE '`(src|tests|include|tools|bench|docs)/[A-Za-z0-9_./-]+`' README.md docs/*.md bench/*.md | tr -d '`' | sort -u); do
        [ -e "$file" ] || { echo "$file is named, but is not there"; bad=1; }
    done
    return $bad
}
files_say_what_they_are() { # first characters of each file
    local bad=0 file
    for file in $(find src include tests -name '*.[ch]'); do
        [ "$(head -c 3 "$file")" = "/* " ] || { echo "$file does not open with a comment"; bad=1; }
    done
    return $bad
}
nothing_prints_or_exits() {
    [ -f "$BUILD/liblathe.a" ] || return
    ! nm -A -u "$BUILD/liblathe.a" | grep -wE 'stdout|stderr|v?f?printf|f?puts|f?putc|putchar|perror|exit|_exit|quick_exit|abort|__assert_fail|(__)?[vf]*printf_chk'
}

check "rooms in docs/architecture.md are the folders of src/" rooms_are_the_folders
check "public headers in docs/architecture.md are the files of include/lathe/" headers_are_the_files
check "rooms include only what lies above them" includes_point_upwards
check "files that the documents name exist" named_files_exist
check "every header compiles alone" headers_stand_alone
if command -v c++ >/dev/null; then
    check "public headers compile as C++" public_headers_are_cxx
else
    skip "public headers compile as C++" "no C++ compiler"
fi
check "every C file opens with a comment" files_say_what_they_are
check "the library never prints, exits or aborts" nothing_prints_or_exits
done_testing

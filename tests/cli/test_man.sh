#!/bin/bash
# Protects: the manual pages render without a warning and say what --help says.
. "$(dirname "$0")/../tap.sh"

command -v groff >/dev/null || skip_all "no groff here"
for page in '' $(verbs); do
    run lathe man $page
    is "$rc:$err" "0:" "man $page"
    printf '%s\n' "$out" >"$T/page.1"
    run groff -man -ww -Tutf8 -P-c "$T/page.1"
    is "$rc:$err" "0:" "man $page: renders without a warning"
    printf '%s\n' "$out" | sed 's/.\x08//g' >"$T/text"
    run grep -cE '^(NAME|SYNOPSIS|DESCRIPTION|OPTIONS|EXIT STATUS|SEE ALSO)$' "$T/text"
    is "$out" 6 "man $page: the usual sections"
    [ -n "$page" ] || continue
    missing=
    for option in $(lathe help "$page" | sed -n 's/^  .*\(--[a-z0-9-]*\).*/\1/p' | sort -u); do
        grep -q -- "$option" "$T/text" || missing+=" $option"
    done
    is "$missing" "" "man $page: every option of --help"
done
if command -v man >/dev/null && man -l /dev/null >/dev/null 2>&1; then
    lathe man embed >"$T/page.1"
    run env MANPAGER=cat MANWIDTH=80 man -l --warnings "$T/page.1"
    is "$rc:$err" "0:" "man -l shows it"
else
    skip "man -l shows it" "no man here"
fi
done_testing

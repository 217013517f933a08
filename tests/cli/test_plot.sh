#!/usr/bin/env bash
# Protects: plot: a picture of what the log says, the same bytes each time; panels, names and axes; and a clear word, with file and line,
# where a log is none or the wished-for number is not there, with the picture that was there before left alone.
. "$(dirname "$0")/../tap.sh"

awk 'BEGIN {
    for (i = 1; i <= 60; i++) {
        printf "{\"step\":%d,\"loss\":%.4f,\"lr\":%g,\"grad_norm\":1.5,\"tokens\":100,\"tokens_per_s\":50}\n", i, 5 / i + 1, i * 1e-5
        if (i % 20 == 0) printf "{\"step\":%d,\"valid\":{\"loss\":%.4f,\"accuracy\":%.2f}}\n", i, 5 / i + 2, i / 100
    }
}' >"$T/one.jsonl"
sed 's/"loss":\([0-9]\)/"loss":1\1/' "$T/one.jsonl" >"$T/two & <2>.jsonl"
well_formed() { python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$1"; }

run lathe plot "$T/one.jsonl" -o "$T/a.svg"
is "$rc:$err" "0:" "a plot"
check "it is well-formed XML" well_formed "$T/a.svg"
svg=$(<"$T/a.svg")
like "$svg" '>loss</text>' "its panel has a name"
like "$svg" '>one</text>.*>one, validation</text>' "both curves are in the legend"
is "$(grep -c 'font-weight="bold"' "$T/a.svg")" 1 "loss and its validation share a panel"
lathe plot "$T/one.jsonl" >"$T/b.svg"
check "standard output gets the same bytes" cmp "$T/a.svg" "$T/b.svg"

run lathe plot "$T/one.jsonl" "$T/two & <2>.jsonl" --y loss,lr,valid.accuracy --smooth 0.9 --title 'Größe <1>' --width 700 --height 900 -o "$T/c.svg"
is "$rc:$err" "0:" "two logs, three panels"
check "well-formed with any name" well_formed "$T/c.svg"
svg=$(<"$T/c.svg")
like "$svg" 'width="700" height="900"' "its size"
like "$svg" '>Größe &lt;1&gt;</text>' "its title"
is "$(grep -c 'font-weight="bold"' "$T/c.svg")" 4 "title and three panels"
is "$(grep -c 'stroke-opacity="0.3"' "$T/c.svg")" 4 "the values stand faint behind their means"
is "$(grep -c '>two &amp; &lt;2&gt;</text>' "$T/c.svg")" 1 "a name stands once in the legend"
like "$(lathe plot "$T/one.jsonl" --x tokens)" '>6000</text>.*>tokens</text>' "over tokens"
like "$(lathe plot "$T/one.jsonl" --x seconds)" '>120</text>.*>seconds</text>' "over seconds"
like "$(lathe plot "$T/one.jsonl" --y lr --log-y)" '>1e-4</text>' "a logarithmic scale"
is "$(lathe plot "$T/one.jsonl" --y loss --mark points | grep -c '<circle')" 61 "points, and one in the legend"
is "$(lathe plot "$T/one.jsonl" --y loss --mark bars | grep -c '<rect fill')" 61 "bars"
mkdir "$T/x" && cp "$T/one.jsonl" "$T/x/one.jsonl"
like "$(lathe plot "$T/one.jsonl" "$T/x/one.jsonl")" "$T/x/one</text>" "the same name twice: with folders"
cp "$T/one.jsonl" "$T/running.jsonl" && printf '{"step":61,"lo' >>"$T/running.jsonl"
check "a line that is being written is left out" lathe plot "$T/running.jsonl" -o "$T/d.svg"
printf '{"step":1,"loss":2}\n{"step":2,"loss":null}\n{"step":3,"loss":2}\n' >"$T/gap.jsonl"
check "null is a gap" lathe plot "$T/gap.jsonl" -o "$T/d.svg"

# What a PNG says it is, read by Python's own modules: width, height, and how many pixels are of each colour.
png() {
    python3 - "$1" <<'END'
import collections, struct, sys, zlib
data = open(sys.argv[1], "rb").read()
assert data[:8] == b"\x89PNG\r\n\x1a\n"
at, packed = 8, b""
while at < len(data):
    size, kind = struct.unpack(">I4s", data[at:at + 8])
    body = data[at + 8:at + 8 + size]
    assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0], kind
    if kind == b"IHDR": width, height, depth, colour = struct.unpack(">IIBB", body[:10])
    if kind == b"IDAT": packed += body
    at += 12 + size
assert kind == b"IEND" and (depth, colour) == (8, 2)
rows = zlib.decompress(packed)
assert len(rows) == height * (3 * width + 1) and not any(rows[y * (3 * width + 1)] for y in range(height))
count = collections.Counter(rows[y * (3 * width + 1) + 1 + 3 * x:][:3] for y in range(height) for x in range(width))
print(width, height, count[b"\xff\xff\xff"] > width * height // 2, count[b"\x00\x72\xb2"] > 100, count[b"\xd5\x5e\x00"] > 20)
END
}
run lathe plot "$T/one.jsonl" --title 'Größe ẞ 漢字' --width 400 --height 300 -o "$T/a.png"
is "$rc:$err" "0:" "a PNG"
is "$(png "$T/a.png" 2>&1)" "400 300 True True True" "it is whole, and has the colours of both curves"
lathe plot "$T/one.jsonl" --title 'Größe ẞ 漢字' --width 400 --height 300 -o "$T/b.PNG"
check "the same bytes again" cmp "$T/a.png" "$T/b.PNG"

refused() { # STATUS MESSAGE NAME LINES OPTION…
    local status=$1 message=$2 name=$3
    printf "$4" >"$T/bad.jsonl"
    shift 4
    run lathe plot "$T/bad.jsonl" "$@" -o "$T/a.svg"
    like "$rc $err" "^$status .*$message" "$name"
}
sum=$(sha256sum <"$T/a.svg")
refused 1 'bad.jsonl:2: expected a line of a training log' "a line that is no object" '{"step":1,"loss":2}\n[1]\n'
refused 1 'bad.jsonl.*2' "a line that is no JSON" '{"step":1,"loss":2}\nloss 3\n'
refused 1 'bad.jsonl:1: expected .*"step"' "no step" '{"loss":2}\n'
refused 1 'bad.jsonl:2: step 3 stands behind step 5' "steps that fall" '{"step":5,"loss":2}\n{"step":3,"loss":2}\n'
refused 1 'bad.jsonl:1: loss: expected a number' "a loss that is a word" '{"step":1,"loss":"low"}\n'
refused 1 'no line' "an empty log" ''
refused 1 "no number 'los'; there are step loss valid.f1; did you mean loss" "a number that is not there" '{"step":1,"loss":2}\n{"step":1,"valid":{"f1":1}}\n' --y los
refused 2 'stands there twice' "a name twice" '{"step":1,"loss":2}\n' --y loss,loss
refused 2 'one comma' "no name" '{"step":1,"loss":2}\n' --y loss,,lr
refused 2 'more height' "no room" '{"step":1,"loss":2}\n' --height 64
is "$(sha256sum <"$T/a.svg")" "$sum" "the picture that was there is as it was"
run lathe plot "$T/one.jsonl" -o "$T/a.gif"
like "$rc $err" "^2 .*\.svg or \.png" "another ending"
run lathe plot "$T/nothing.jsonl"
like "$rc $err" "^1 .*nothing.jsonl: No such file" "no such log"
is "$(find "$T" -name '*.tmp')" "" "nothing is left over"
done_testing

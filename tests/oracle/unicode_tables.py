"""Writes src/text/unicode_tables.h, src/text/pattern_tables.h and tests/fixtures/text/unicode.txt.

The reference (Hugging Face tokenizers) is built from several Rust crates, each with its own version of Unicode, and from
Oniguruma with yet another. What each of them says of a code point is found by asking the reference itself, for all of them.
Classes are written out whole; case mapping, normalisation and pattern properties only where utf8proc or PCRE2 says otherwise
(or will: Unicode as of unicodedata2 is asked too, so that newer libraries change nothing).

    pip install tokenizers==0.21.4 unicodedata2==18.0.0
    python tests/oracle/unicode_tables.py        (a few minutes; needs cc, utf8proc and PCRE2)
"""
import os
import subprocess
import tempfile

import unicodedata2
from tokenizers import Regex, normalizers, pre_tokenizers

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
REMOVED, SPACE, PUNCT, NUMERIC, WORD, MN, MARK, LETTER = (1 << i for i in range(8))
PROPERTIES = ["L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
              "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "Cc"]
SCRIPTS = ["Arabic", "Armenian", "Bengali", "Cyrillic", "Devanagari", "Ethiopic", "Georgian", "Greek", "Gujarati", "Gurmukhi", "Han", "Hangul",
           "Hebrew", "Hiragana", "Kannada", "Katakana", "Khmer", "Lao", "Latin", "Malayalam", "Mongolian", "Myanmar", "Sinhala", "Tamil", "Telugu",
           "Thai", "Tibetan"]
MARKS = [0x345, 0x301, 0x323, 0x327, 0x5B0, 0x94D, 0x93C, 0x334]  # known combining classes: 240, 230, 220, 202, 10, 9, 7, 1


def classes():
    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    strip = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    marks, words = normalizers.StripAccents(), pre_tokenizers.Whitespace()
    space, punct, digits = pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True)
    letter = pre_tokenizers.Split(Regex(r"\p{L}"), "isolated")
    splits = lambda p, c: len(p.pre_tokenize_str("\x01" + c + "\x02")) != 1
    result = [0] * 0x110000
    for c in CODE_POINTS:
        s = chr(c)
        flags = REMOVED * (clean.normalize_str("a" + s + "b") == "ab") | SPACE * splits(space, s) | PUNCT * splits(punct, s)
        flags |= NUMERIC * splits(digits, s) | WORD * (len(words.pre_tokenize_str("x" + s + "y")) == 1)
        flags |= MN * (strip.normalize_str("a" + s) == "a") | MARK * (marks.normalize_str("a" + s) == "a") | LETTER * splits(letter, s)
        result[c] = flags
    return result


def ranges(points):
    out = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def run_c(source, *args):
    with tempfile.TemporaryDirectory() as d:
        open(f"{d}/a.c", "w").write(source)
        subprocess.run(["cc", "-o", f"{d}/a", f"{d}/a.c", "-lutf8proc", "-lpcre2-32"], check=True)
        return subprocess.run([f"{d}/a", *args], check=True, capture_output=True, text=True).stdout.splitlines()


LIBRARY = r"""
#define PCRE2_CODE_UNIT_WIDTH 32
#include <pcre2.h>
#include <stdio.h>
#include <utf8proc.h>
int main(int n, char **v)
{
    if (n == 1)
        for (int c = 0; c < 0x110000; c++) {
            const utf8proc_property_t *p = utf8proc_get_property(c);
            int normal = p->decomp_seqindex != UINT16_MAX || p->combining_class;
            if (utf8proc_tolower(c) != c || normal) printf("%d %d %d\n", c, (int)utf8proc_tolower(c), normal);
        }
    for (int i = 1; i < n; i++) {
        PCRE2_UCHAR pattern[64];
        int length = 0, error;
        size_t at;
        for (; v[i][length]; length++) pattern[length] = (PCRE2_UCHAR)v[i][length];
        pcre2_code *re = pcre2_compile(pattern, length, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
        if (!re) return 1;
        pcre2_match_data *m = pcre2_match_data_create_from_pattern(re, NULL);
        for (PCRE2_UCHAR c = 0; c < 0x110000; c++)
            if ((c < 0xD800 || c > 0xDFFF) && pcre2_match(re, &c, 1, 0, 0, m, NULL) >= 0) printf("%u ", (unsigned)c);
        puts("");
    }
}
"""


def normalised_elsewhere(nfd, nfkd, lines):
    """Code points that utf8proc (or Unicode later than its own) decomposes or reorders, and the reference does not."""
    later = set()
    candidates = {int(l.split()[0]) for l in lines if l.split()[2] == "1"}
    for c in CODE_POINTS:
        if unicodedata2.combining(chr(c)) or unicodedata2.decomposition(chr(c)):
            candidates.add(c)
    for c in candidates:
        s = chr(c)
        moved = nfd.normalize_str("a\u0345" + s) != "a\u0345" + s or nfd.normalize_str("a" + s + "\u0334") != "a" + s + "\u0334"
        if not moved and nfd.normalize_str(s) == s and nfkd.normalize_str(s) == s:
            later.add(c)
    return later


def rows(items, per_line):
    items = list(items)
    return ",\n".join("    " + ", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line))


def write_tables(flags, lines, nfd, nfkd):
    lower = normalizers.Lowercase()
    theirs = {int(l.split()[0]): chr(int(l.split()[1])) for l in lines}
    extra = [(c, lower.normalize_str(chr(c))) for c in CODE_POINTS if lower.normalize_str(chr(c)) != theirs.get(c, chr(c))]
    runs = [(c, flags[c]) for c in range(0x800, 0x110000) if c == 0x800 or flags[c] != flags[c - 1]]
    pages = []
    for page in range(8, 0x325):
        pages.append(max(i for i, (c, _) in enumerate(runs) if c <= page * 256))
    with open(os.path.join(ROOT, "src/text/unicode_tables.h"), "w") as f:
        f.write("/* What the reference tokenizer's Unicode tables say, asked of it code point by code point. Written by\n"
                " * tests/oracle/unicode_tables.py; do not edit. */\n#ifndef LT_TEXT_UNICODE_TABLES_H\n#define LT_TEXT_UNICODE_TABLES_H\n\n"
                "#include <stdint.h>\n\n/* Classes (LT_CHAR_…) of U+0000 … U+07FF. */\nstatic const uint8_t class_low[0x800] = {\n")
        f.write(rows((str(x) for x in flags[:0x800]), 32))
        f.write("};\n\n/* From U+0800: where a run of one class begins, times 256, plus that class. */\nstatic const uint32_t class_run[] = {\n")
        f.write(rows((f"0x{c << 8 | x:X}" for c, x in runs), 12))
        f.write("};\n\n/* The run that holds the first code point of each 256, from U+0800 to U+32400. */\nstatic const uint16_t class_page[] = {\n")
        f.write(rows((str(x) for x in pages), 24))
        f.write("};\n\n/* Lower case, where utf8proc says otherwise; a second code point or 0. */\nstatic const uint32_t lower_extra[][3] = {\n")
        f.write(rows(("{0x%X, 0x%X, 0x%X}" % (c, ord(s[0]), ord(s[1]) if len(s) > 1 else 0) for c, s in extra), 6))
        f.write("};\n\n/* Ranges that younger Unicode decomposes or reorders, and the reference does not. */\nstatic const uint32_t not_normalized[][2] = {\n")
        f.write(rows(("{0x%X, 0x%X}" % tuple(r) for r in ranges(normalised_elsewhere(nfd, nfkd, lines))), 6))
        f.write("};\n\n#endif\n")


def write_patterns():
    names = [(p, p) for p in PROPERTIES] + [(s, "sc:" + s) for s in SCRIPTS] + [("w", ""), ("[w]", "")]
    pcre = [r"\w" if not n else r"\p{%s}" % n for _, n in names]
    regex = {"w": r"\w", "[w]": r"[\w]"}  # inside brackets, Oniguruma's \w lacks six numbers of Latin-1
    found = [set(map(int, l.split())) for l in run_c(LIBRARY, *pcre)]
    with open(os.path.join(ROOT, "src/text/pattern_tables.h"), "w") as f:
        f.write("/* Properties that patterns may name: PCRE2's name, and what Oniguruma's Unicode adds to PCRE2 10.42's. Written by\n"
                " * tests/oracle/unicode_tables.py; do not edit. */\n#ifndef LT_TEXT_PATTERN_TABLES_H\n#define LT_TEXT_PATTERN_TABLES_H\n\n"
                "static const struct {\n    const char *name, *pcre2, *more;\n} property[] = {\n")
        for (name, pcre2), theirs in zip(names, found):
            split = pre_tokenizers.Split(Regex(regex.get(name, r"\p{%s}" % name)), "isolated")
            around = "++" if name == "Cc" else "\x01\x02"
            ours = {c for c in CODE_POINTS if len(split.pre_tokenize_str(around[0] + chr(c) + around[1])) == 3}
            if name in regex:  # UCP's \w is letters, numbers and "_"; Oniguruma's is wider and narrower
                theirs = found[PROPERTIES.index("L")] | found[PROPERTIES.index("Nd")] | found[PROPERTIES.index("M")]
                pcre2 = "L}\\\\p{Nd}\\\\p{M"
            if theirs - ours:
                print(f"\\p{{{name}}}: PCRE2 has more:", ["%X" % c for c in sorted(theirs - ours)][:20])
            more = "".join("\\\\x{%x}" % a if a == b else "\\\\x{%x}-\\\\x{%x}" % (a, b) for a, b in ranges(ours - theirs))
            f.write('    {"%s", "%s",\n     "%s"},\n' % (name, pcre2, more))
        f.write("};\n\n#endif\n")


def fnv(h, s):
    for b in s.encode():
        h = ((h ^ b) * 0x01000193) & 0xFFFFFFFF
    return h


def write_fixture(flags, nfd, nfkd):
    """A line a page of 256 code points that has anything to say: hashes (FNV-1a) of "c:result " for each c that is not itself."""
    nfc, lower = normalizers.NFC(), normalizers.Lowercase()
    bert = normalizers.BertNormalizer()
    def order(c):
        return "".join(str(int(nfd.normalize_str("a" + chr(m) + chr(c))[1] != chr(m))) for m in MARKS)
    with open(os.path.join(ROOT, "tests/fixtures/text/unicode.txt"), "w") as f:
        f.write("# page class lower nfd nfkd nfc order bert; written by tests/oracle/unicode_tables.py\n")
        for page in range(0x1100):
            h = [0x811C9DC5] * 7
            for c in range(page * 256, page * 256 + 256):
                if 0xD800 <= c < 0xE000:
                    continue
                s = chr(c)
                results = [lower.normalize_str(s), nfd.normalize_str(s), nfkd.normalize_str(s), nfc.normalize_str(s)]
                texts = ["" if flags[c] == 0 else str(flags[c])] + ["" if r == s else r for r in results]
                o = order(c)
                texts.append("" if o == "0" * len(MARKS) else o)
                b = bert.normalize_str("a" + s + "b")
                texts.append("" if b == "a" + s + "b" else b)
                for i, t in enumerate(texts):
                    if t:
                        h[i] = fnv(h[i], f"{c}:{t} ")
            if any(x != 0x811C9DC5 for x in h):
                f.write("%x " % page + " ".join("-" if x == 0x811C9DC5 else "%08x" % x for x in h) + "\n")


def main():
    flags, nfd, nfkd = classes(), normalizers.NFD(), normalizers.NFKD()
    os.makedirs(os.path.join(ROOT, "tests/fixtures/text"), exist_ok=True)
    write_tables(flags, run_c(LIBRARY), nfd, nfkd)
    write_patterns()
    write_fixture(flags, nfd, nfkd)


if __name__ == "__main__":
    main()

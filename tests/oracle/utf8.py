"""Prints the two hashes that tests/base/test_text.c holds: what Python's own decoder makes of all two-byte strings and of
a million pseudo-random ones of one to six bytes."""


def fnv(h, code_points):
    for c in code_points:
        h = ((h ^ c) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return ((h ^ 0x110000) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF  # end of a string


def decode(b):
    return [ord(c) for c in bytes(b).decode("utf-8", errors="replace")]


h = 0xCBF29CE484222325
for i in range(65536):
    h = fnv(h, decode([i >> 8, i & 255]))
print(f"two bytes: 0x{h:016X}")

# The bytes at which something changes in the tables of the standard, and any others.
edge = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF,
        0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF]
state = 1


def draw():
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
    return state >> 33


h = 0xCBF29CE484222325
for _ in range(1000000):
    n = 1 + draw() % 6
    s = []
    for _ in range(n):
        r = draw()
        s.append(edge[(r >> 8) % len(edge)] if r % 2 else (r >> 8) % 256)
    h = fnv(h, decode(s))
print(f"random: 0x{h:016X}")

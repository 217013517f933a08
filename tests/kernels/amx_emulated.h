/* AMX's instructions as loops, after Intel's manual (volume 2, chapters TILELOADD, TDPBUSD, TDPBF16PS, …), checking what would fault. */
#ifndef LATHE_TESTS_AMX_EMULATED_H
#define LATHE_TESTS_AMX_EMULATED_H

#include <stdlib.h>

static struct {
    bool on;
    amx_config c;
    uint8_t data[8][16][64];
} amx;

static void amx_fault(bool wrong)
{
    if (wrong) abort();
}

static void amx_configure(const amx_config *c)
{
    amx_fault(c->palette != 1 || c->start_row != 0);
    for (int i = 0; i < 14; i++) amx_fault(c->reserved[i] != 0);
    for (int t = 0; t < 16; t++) amx_fault(c->rows[t] > 16 || c->row_bytes[t] > 64 || (t >= 8 && (c->rows[t] || c->row_bytes[t])) || !c->rows[t] != !c->row_bytes[t]);
    memset(&amx, 0, sizeof amx);
    amx.on = true;
    amx.c = *c;
}

static void amx_release(void) { amx.on = false; }
static void amx_zero(int t)
{
    amx_fault(!amx.on || !amx.c.rows[t]);
    memset(amx.data[t], 0, sizeof amx.data[t]);
}

static void amx_load(int t, const void *p, int64_t stride)
{
    amx_fault(!amx.on || !amx.c.rows[t]);
    memset(amx.data[t], 0, sizeof amx.data[t]);
    for (int r = 0; r < amx.c.rows[t]; r++) memcpy(amx.data[t][r], (const char *)p + r * stride, amx.c.row_bytes[t]);
}

static void amx_store(int t, void *p, int64_t stride)
{
    amx_fault(!amx.on || !amx.c.rows[t]);
    for (int r = 0; r < amx.c.rows[t]; r++) memcpy((char *)p + r * stride, amx.data[t][r], amx.c.row_bytes[t]);
}

static void amx_fit(int c, int a, int b)
{
    amx_fault(!amx.on || amx.c.rows[c] != amx.c.rows[a] || amx.c.row_bytes[c] != amx.c.row_bytes[b] || amx.c.row_bytes[a] != 4 * amx.c.rows[b]);
}

static void amx_dot_bytes(int c, int a, int b)
{
    amx_fit(c, a, b);
    for (int m = 0; m < amx.c.rows[c]; m++)
        for (int n = 0; n < amx.c.row_bytes[c] / 4; n++) {
            int32_t sum;
            memcpy(&sum, &amx.data[c][m][4 * n], 4);
            for (int k = 0; k < amx.c.row_bytes[a]; k++) sum += amx.data[a][m][k] * (int8_t)amx.data[b][k / 4][4 * n + k % 4];
            memcpy(&amx.data[c][m][4 * n], &sum, 4);
        }
}

static float amx_half(const uint8_t *p)
{
    uint32_t bits = (uint32_t)(p[0] | p[1] << 8) << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void amx_dot_bf16(int c, int a, int b)
{
    amx_fit(c, a, b);
    for (int m = 0; m < amx.c.rows[c]; m++)
        for (int n = 0; n < amx.c.row_bytes[c] / 4; n++) {
            float sum;
            memcpy(&sum, &amx.data[c][m][4 * n], 4);
            for (int k = 0; k < amx.c.row_bytes[a] / 4; k++)
                for (int h = 0; h < 2; h++) sum += amx_half(&amx.data[a][m][4 * k + 2 * h]) * amx_half(&amx.data[b][k][4 * n + 2 * h]);
            memcpy(&amx.data[c][m][4 * n], &sum, 4);
        }
}

#endif

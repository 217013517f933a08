/* exp, tanh, the normal distribution, and the activations made of them, on whole vectors; a tail is padded, never computed
 * otherwise, so an element's bits do not depend on its place. Range reduction follows Cody & Waite (1980); the
 * polynomials are minimax fits by tests/oracle/polynomials.py. Errors, which tests/kernels/test_activations.c measures on every
 * table against double precision: exp 2 ulp, tanh and sigmoid 3 ulp, silu 4; GELU 1.1e-7 max(1, |x|), the others
 * 1.5e-7 max(1, |x|), of which a float's own rounding is 0.6e-7. GELU is zero left of -6. Infinities give what the formula gives:
 * x sigmoid(x) and x Phi(x) at -inf are -inf * 0 = NaN. A NaN stays one. */
#ifndef LATHE_KERNELS_ACT_H
#define LATHE_KERNELS_ACT_H

#include "kernels/cpu/vec.h"
#include "lathe/kernels.h"

/* t = x + V_ROUND holds the integer n nearest to x, biased as an exponent is, in its low bits; t - V_ROUND is n as a float. */
#define V_ROUND 12583039.0f /* 1.5 · 2^23 + 127 */

/* 2^n for -127 <= n <= 127, of t as above; -127 gives zero. */
LT_INLINE vf v_power(vf t) { return (vf)((vi)t << 23); }

/* x = n ln 2 + r: returns e^r - 1, and n in t. x within ±150 or NaN. */
LT_INLINE vf v_exp_reduced(vf x, vf *t)
{
    *t = v_fma(x, v_set(1.44269504f), v_set(V_ROUND));
    vf n = *t - V_ROUND;
    vf r = v_fma(n, v_set(-0.693359375f), x); /* ln 2 in 9 bits, so that n times it is exact, and the rest */
    r = v_fma(n, v_set(2.12194440e-4f), r);
    vf q = v_set(0.00138825201f);
    q = v_fma(q, r, v_set(0.008366514f));
    q = v_fma(q, r, v_set(0.0416672006f));
    q = v_fma(q, r, v_set(0.166665435f));
    q = v_fma(q, r, v_set(0.49999997f));
    return v_fma(r * r, q, r);
}

/* Two powers, so that results below the smallest normal number are rounded once, and overflow is infinity. */
LT_INLINE vf v_exp(vf x)
{
    vf t, p = v_exp_reduced(v_min(v_set(89.0f), v_max(v_set(-104.0f), x)), &t);
    vi n = (vi)t - (vi)v_set(V_ROUND), half = n >> 1;
    vf s = (vf)((half + 127) << 23);
    return v_fma(s, p, s) * (vf)((n - half + 127) << 23);
}

/* e^x for x <= 0 where a softmax needs it: 2^y, y = x log2 e, so that no digits of y are lost in reducing it, but y itself is
 * rounded: relative error 3 + 1.3 |x| ulp, and x, a difference of scores, has its own. Zero below 2^-126. */
LT_INLINE vf v_exp_negative(vf x)
{
    vf y = v_max(v_set(-127.0f), x * 1.44269504f), t = y + V_ROUND, r = y - (t - V_ROUND), s = v_power(t);
    vf q = v_set(0.00132691709f);
    q = v_fma(q, r, v_set(0.00967164803f));
    q = v_fma(q, r, v_set(0.0555072464f));
    q = v_fma(q, r, v_set(0.240222394f));
    q = v_fma(q, r, v_set(0.693147004f));
    return v_fma(s, q * r, s);
}

/* With u = e^(-2|x|) - 1: tanh |x| = -u / (2 + u). No digits cancel: u is e^r - 1 times 2^n, plus 2^n - 1. */
LT_INLINE vf v_tanh(vf x)
{
    vf t, p = v_exp_reduced(v_max(v_set(-80.0f), v_abs(x) * -2.0f), &t);
    vf s = v_power(t), u = v_fma(s, p, s - 1.0f);
    return v_copysign(-u / (u + 2.0f), x);
}

/* e^-|x| cannot overflow, and keeps the left tail's digits. */
LT_INLINE vf v_sigmoid(vf x)
{
    vf e = v_exp(-v_abs(x));
    return v_select(x < 0.0f, e, v_set(1.0f)) / (e + 1.0f);
}

/* Phi(x). log2 Phi(-|x|) is nearly a parabola: a polynomial gives it, 2^y needs no reduction but rounding y. */
LT_INLINE vf v_normal(vf x)
{
    vf a = v_abs(x), g = v_set(-2.10787086e-08f);
    g = v_fma(g, a, v_set(6.65549976e-07f));
    g = v_fma(g, a, v_set(-8.96713937e-06f));
    g = v_fma(g, a, v_set(6.53166135e-05f));
    g = v_fma(g, a, v_set(-0.000243432747f));
    g = v_fma(g, a, v_set(-6.99402881e-05f));
    g = v_fma(g, a, v_set(0.00702503137f));
    g = v_fma(g, a, v_set(-0.0524884388f));
    g = v_fma(g, a, v_set(-0.459207505f));
    g = v_fma(g, a, v_set(-1.1511054f));
    vf y = v_select(a > 6.0f, v_set(-127.0f), v_fma(g, a, v_set(-1.0f)));
    vf t = y + V_ROUND, r = y - (t - V_ROUND);
    vf q = v_set(0.000153584217f);
    q = v_fma(q, r, v_set(0.00133990624f));
    q = v_fma(q, r, v_set(0.00961842295f));
    q = v_fma(q, r, v_set(0.0555033199f));
    q = v_fma(q, r, v_set(0.240226477f));
    q = v_fma(q, r, v_set(0.693147182f));
    vf s = v_power(t), left = v_fma(s, q * r, s);
    return v_select(x < 0.0f, left, 1.0f - left);
}

LT_INLINE vf v_gelu(vf x) { return x * v_normal(x); }

/* GELU for results that will be rounded to bf16, with half the operations: Phi(x) - 1/2 as an odd polynomial up to 4.25, where it
 * reaches 1/2. Error 5e-5 max(1, |x|); a bf16's own rounding is 2e-3 |result|. */
LT_INLINE vf v_gelu_short(vf x)
{
    vf c = v_min(v_set(4.25f), v_max(v_set(-4.25f), x)), t = c * c, g = v_set(4.54822013e-11f);
    g = v_fma(g, t, v_set(-4.51626958e-09f));
    g = v_fma(g, t, v_set(1.98650142e-07f));
    g = v_fma(g, t, v_set(-5.14818066e-06f));
    g = v_fma(g, t, v_set(8.84969704e-05f));
    g = v_fma(g, t, v_set(-0.00107913639f));
    g = v_fma(g, t, v_set(0.00971907564f));
    g = v_fma(g, t, v_set(-0.0661915019f));
    g = v_fma(g, t, v_set(0.39882496f));
    return x * v_fma(c, g, v_set(0.5f));
}

/* tanh(log(1 + e)) = (e² + 2e) / (e² + 2e + 2), e = e^x; it is 1 long before e² overflows. */
LT_INLINE vf v_mish(vf x)
{
    vf e = v_exp(v_min(v_set(30.0f), x)), t = e * (e + 2.0f);
    return x * (t / (t + 2.0f));
}

LT_INLINE vf v_relu(vf x) { return v_select(x < 0.0f, v_set(0.0f), x); }

/* `act` is a constant wherever this is inlined. tanh(u) of the approximate GELU is written as a sigmoid: (1 + tanh u)/2. */
LT_INLINE vf v_act(lt_act act, vf x)
{
    switch (act) {
    case LT_ACT_RELU:
        return v_relu(x);
    case LT_ACT_GELU:
        return v_gelu(x);
    case LT_ACT_GELU_TANH:
        return x * v_sigmoid(1.59576912f * v_fma(x * 0.044715f, x * x, x));
    case LT_ACT_QUICK_GELU:
        return x * v_sigmoid(x * 1.702f);
    case LT_ACT_SILU:
        return x * v_sigmoid(x);
    case LT_ACT_MISH:
        return v_mish(x);
    case LT_ACT_TANH:
        return v_tanh(x);
    case LT_ACT_SIGMOID:
        return v_sigmoid(x);
    case LT_ACT_RELU2:
        return v_relu(x) * v_relu(x);
    default:
        return x;
    }
}

/* CALL(act) with each activation as a constant. */
#define V_EACH_ACT(act, CALL)                                                                                                      \
    switch (act) {                                                                                                                 \
    case LT_ACT_RELU:                                                                                                              \
        CALL(LT_ACT_RELU);                                                                                                         \
        break;                                                                                                                     \
    case LT_ACT_GELU:                                                                                                              \
        CALL(LT_ACT_GELU);                                                                                                         \
        break;                                                                                                                     \
    case LT_ACT_GELU_TANH:                                                                                                         \
        CALL(LT_ACT_GELU_TANH);                                                                                                    \
        break;                                                                                                                     \
    case LT_ACT_QUICK_GELU:                                                                                                        \
        CALL(LT_ACT_QUICK_GELU);                                                                                                   \
        break;                                                                                                                     \
    case LT_ACT_SILU:                                                                                                              \
        CALL(LT_ACT_SILU);                                                                                                         \
        break;                                                                                                                     \
    case LT_ACT_MISH:                                                                                                              \
        CALL(LT_ACT_MISH);                                                                                                         \
        break;                                                                                                                     \
    case LT_ACT_TANH:                                                                                                              \
        CALL(LT_ACT_TANH);                                                                                                         \
        break;                                                                                                                     \
    case LT_ACT_SIGMOID:                                                                                                           \
        CALL(LT_ACT_SIGMOID);                                                                                                      \
        break;                                                                                                                     \
    case LT_ACT_RELU2:                                                                                                             \
        CALL(LT_ACT_RELU2);                                                                                                        \
        break;                                                                                                                     \
    default:                                                                                                                       \
        CALL(LT_ACT_NONE);                                                                                                         \
    }

LT_INLINE void act_loop(lt_act act, int64_t n, const float *x, float *y)
{
    int64_t i = 0;
    for (; i + LT_LANES <= n; i += LT_LANES) v_store(y + i, v_act(act, v_load(x + i)));
    if (i < n) v_store_n(y + i, n - i, v_act(act, v_load_n(x + i, n - i, v_set(0.0f))));
}

static void act_all(lt_act act, int64_t n, const void *x, void *y)
{
#define CALL(A) act_loop(A, n, x, y)
    V_EACH_ACT(act, CALL)
#undef CALL
}

#endif

/* Scales and their ticks. Ticks stand at 1, 2 or 5 times a power of ten (Heckbert, "Nice numbers for graph labels", Graphics Gems,
 * 1990). A tick is an integer times a power of ten, so its label is written from those two, exactly and in no language's own way. */
#include "plot/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* mantissa · 10^exponent in units of 10^unit: 15, 2, 3 is "1.5". */
static void put_decimal(char label[32], int64_t mantissa, int exponent, int unit, const char *suffix)
{
    char digits[48];
    int places = unit - exponent, n = 0, used = 0;
    for (; places > 0 && mantissa % 10 == 0 && mantissa; places--) mantissa /= 10;
    int size = snprintf(digits, sizeof digits, "%lld", (long long)llabs(mantissa));
    if (mantissa < 0) label[used++] = '-';
    if (places <= 0) {
        for (; n < size && used < 20; n++) label[used++] = digits[n];
        for (; places < 0 && used < 20; places++) label[used++] = '0';
    } else {
        if (places > 12) places = 12;
        if (size <= places) label[used++] = '0';
        for (; n < size - places && used < 20; n++) label[used++] = digits[n];
        label[used++] = '.';
        for (int zeros = places - size; zeros > 0 && used < 20; zeros--) label[used++] = '0';
        for (; n < size && used < 24; n++) label[used++] = digits[n];
    }
    snprintf(label + used, (size_t)(32 - used), "%s", suffix);
}

/* One style for all ticks of an axis: "20k", "0.5", "2e-5". */
static void put_label(char label[32], int64_t mantissa, int exponent, double largest)
{
    char suffix[16] = "";
    int unit = 0;
    if (mantissa == 0) {
        snprintf(label, 32, "0");
        return;
    }
    if (largest >= 1e12 || largest < 1e-3) {
        unit = (int)floor(log10(largest) + 1e-9);
        snprintf(suffix, sizeof suffix, "e%d", unit);
    } else if (largest >= 1e4) {
        unit = largest >= 1e9 ? 9 : largest >= 1e6 ? 6 : 3;
        snprintf(suffix, sizeof suffix, "%s", unit == 9 ? "G" : unit == 6 ? "M" : "k");
    }
    put_decimal(label, mantissa, exponent, unit, suffix);
}

static void add_tick(lt_axis *s, int64_t mantissa, int exponent, double largest)
{
    if (s->ticks == LT_MOST_TICKS) return;
    lt_tick *t = &s->tick[s->ticks++];
    t->at = exponent < 0 ? (double)mantissa / pow(10, -exponent) : (double)mantissa * pow(10, exponent);
    put_label(t->label, mantissa, exponent, largest);
}

/* Between the values lo and hi. */
static void even_ticks(lt_axis *s, double lo, double hi, int wanted)
{
    double rough = (hi - lo) / (wanted > 1 ? wanted : 1);
    int exponent = (int)floor(log10(rough));
    double unit = pow(10, exponent), times = rough / unit;
    int step = times <= 1.0001 ? 1 : times <= 2.0001 ? 2 : times <= 5.0001 ? 5 : 10;
    double first = ceil(lo / (step * unit) - 1e-9), last = floor(hi / (step * unit) + 1e-9);
    double largest = fmax(fabs(first), fabs(last)) * step * unit;
    for (double i = first; i <= last && s->ticks < LT_MOST_TICKS; i++) add_tick(s, (int64_t)i * step, exponent, largest);
}

/* Powers of ten; 2 and 5 times them where there are few; even ones where there is less than one to see. */
static void log_ticks(lt_axis *s, int wanted)
{
    int first = (int)ceil(s->lo - 1e-9), last = (int)floor(s->hi + 1e-9);
    if (s->hi - s->lo < 0.8) {
        even_ticks(s, pow(10, s->lo), pow(10, s->hi), wanted);
        return;
    }
    int stride = (last - first) / (wanted > 1 ? wanted : 1) + 1;
    bool fine = last - first < 3;
    for (int e = fine ? first - 1 : first; e <= last; e += stride) {
        static const int times[] = {1, 2, 5};
        for (int i = 0; i < (fine ? 3 : 1); i++) {
            double at = e + log10(times[i]);
            if (at >= s->lo - 1e-9 && at <= s->hi + 1e-9) {
                const double value = times[i] * pow(10, e);
                /* each in the style of its own size: thousands in full, what is larger or smaller by exponent */
                add_tick(s, times[i], e, value >= 1e-3 && value < 1e6 ? fmin(value, 9999) : value < 1 ? value : fmax(value, 1e12));
                if (value >= 1e6) snprintf(s->tick[s->ticks - 1].label, sizeof s->tick->label, "%de%d", times[i], e);
            }
        }
    }
}

void lt_axis_set(lt_axis *s, double lo, double hi, bool log, double pad, int wanted)
{
    s->log = log;
    s->ticks = 0;
    s->lo = log ? log10(lo) : lo;
    s->hi = log ? log10(hi) : hi;
    /* Nothing to see, or less than numbers of this size can tell apart: widened. */
    double least = log ? 0.02 : fmax(fabs(s->lo), fabs(s->hi)) * 1e-9;
    if (s->hi - s->lo <= least) {
        double by = log ? 0.3 : fmax(fabs(s->hi) * 0.1, s->hi == 0 ? 1 : 0);
        s->lo -= by;
        s->hi += by;
    }
    double margin = (s->hi - s->lo) * pad;
    s->lo -= margin;
    s->hi += margin;
    if (log) log_ticks(s, wanted);
    else even_ticks(s, s->lo, s->hi, wanted);
}

bool lt_axis_takes(const lt_axis *s, double value) { return isfinite(value) && fabs(value) < 1e100 && (!s->log || value > 1e-100); }

double lt_axis_at(const lt_axis *s, double value)
{
    return s->from + ((s->log ? log10(value) : value) - s->lo) / (s->hi - s->lo) * (s->to - s->from);
}

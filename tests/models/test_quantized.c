/* Protects: models of every precision come back from disk with the bits they had, whatever the threads; calibrating does not depend on threads
 * and leaves no taps; GPTQ rounds to nearest where inputs do not go together and beats that where they do; smoothed weights mean what the
 * dense ones did; quantised checkpoints that are wrong are refused by the tensor's name. */
#include "lathe/compress.h"
#include "models/hostile.h"

/* ---- making them ---- */

typedef enum { ROUNDED, CALIBRATED } how;

static lt_calibration *calibrate(lt_ctx *cx, const fixture *f, bool gram)
{
    int64_t begin[MAX_INPUTS + 1] = {0};
    for (int i = 0; i < f->n; i++) begin[i + 1] = begin[i] + f->length[i];
    lt_model *m = lt_model_open(cx, f->path, &(lt_model_options){.precision = LT_PRECISION_F32, .no_tokenizer = true});
    assert_done(cx, m);
    lt_calibration *c = lt_calibrate(cx, m, f->ids, begin, f->n, &(lt_calibrate_options){.gram = gram});
    lt_model_close(m);
    assert_done(cx, c);
    return c;
}

static lt_model *open_as(lt_ctx *cx, const fixture *f, lt_precision p, lt_smoothing *s, bool unpacked)
{
    lt_model_options o = {.precision = p, .no_tokenizer = true, .unpacked = unpacked};
    if (s && p == LT_PRECISION_INT8) o.convert = lt_smooth_int8, o.convert_arg = s;
    if (s && p == LT_PRECISION_INT4) o.convert = lt_gptq_int4, o.convert_arg = (void *)s->of;
    lt_model *m = lt_model_open(cx, f->path, &o);
    assert_done(cx, m);
    return m;
}

/* The fixture's folder in that precision, in scratch. */
static void quantize(const char *name, lt_precision p, how h)
{
    lt_ctx *cx = new_context(1);
    fixture f;
    remove_folder(in_scratch(""));
    read_fixture(cx, &f, name);
    lt_calibration *c = h == CALIBRATED ? calibrate(cx, &f, p == LT_PRECISION_INT4) : NULL;
    lt_smoothing s = {.of = c, .alpha = 0.5};
    lt_model *m = open_as(cx, &f, p, c ? &s : NULL, true);
    assert_done(cx, lt_model_save(cx, m, in_scratch("")));
    lt_model_close(m);
    lt_calibration_free(c);
    free_fixture(&f);
    lt_ctx_free(cx);
}

/* ---- round trips ---- */

static void comes_back(const char *name, lt_precision p, how h)
{
    lt_ctx *cx = new_context(1);
    fixture f;
    read_fixture(cx, &f, name);
    quantize(name, p, h);
    lt_calibration *c = h == CALIBRATED ? calibrate(cx, &f, p == LT_PRECISION_INT4) : NULL;
    lt_smoothing s = {.of = c, .alpha = 0.5};
    lt_model *memory = open_as(cx, &f, p, c ? &s : NULL, false);
    lt_tensor *want = forward(cx, memory, &f, 0, f.n, LT_OUT_HIDDEN, NULL);
    assert_done(cx, want);
    for (int threads = 1; threads <= 3; threads++) {
        lt_ctx *own = new_context(threads);
        lt_model *m = lt_model_open(own, in_scratch(""), NULL);
        assert_done(own, m);
        lt_tensor *x = forward(own, m, &f, 0, f.n, LT_OUT_HIDDEN, NULL);
        assert_done(own, x);
        if (!same_bits(x, 0, want, 0, x->shape[0])) fail_msg("%s, %s, %d threads: not the bits it had in memory", name, lt_precision_name(p), threads);
        lt_model_close(m);
        lt_ctx_free(own);
    }
    lt_model_close(memory);
    lt_calibration_free(c);
    free_fixture(&f);
    lt_ctx_free(cx);
}

static void models_come_back(void **state)
{
    static const char *const names[] = {"bert-tiny", "bert-odd", "distilbert-tiny", "roberta-tiny"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        comes_back(names[i], LT_PRECISION_BF16, ROUNDED);
        comes_back(names[i], LT_PRECISION_INT8, ROUNDED);
        comes_back(names[i], LT_PRECISION_INT4, ROUNDED);
        comes_back(names[i], LT_PRECISION_INT8, CALIBRATED);
        comes_back(names[i], LT_PRECISION_INT4, CALIBRATED);
    }
}

/* A smoothed model read as f32 is the original but for rounding. */
static void smoothing_keeps_the_function(void **state)
{
    lt_ctx *cx = new_context(1);
    fixture f;
    read_fixture(cx, &f, "bert-tiny");
    quantize("bert-tiny", LT_PRECISION_INT8, CALIBRATED);
    const lt_model_options f32 = {.precision = LT_PRECISION_F32, .no_tokenizer = true};
    lt_model *a = lt_model_open(cx, f.path, &f32), *b = lt_model_open(cx, in_scratch(""), &f32);
    assert_done(cx, a && b);
    lt_tensor *x = forward(cx, a, &f, 0, f.n, LT_OUT_HIDDEN, NULL), *y = forward(cx, b, &f, 0, f.n, LT_OUT_HIDDEN, NULL);
    assert_done(cx, x && y);
    assert_true(distance(x, 0, 1, y, 0, x->shape[0]) < 0.15);
    lt_model_close(a);
    lt_model_close(b);
    free_fixture(&f);
    lt_ctx_free(cx);
}

/* ---- calibrating ---- */

static void calibrating_is_exact(void **state)
{
    lt_ctx *cx = new_context(1), *three = new_context(3);
    fixture f;
    read_fixture(cx, &f, "bert-tiny");
    lt_calibration *a = calibrate(cx, &f, true), *b = calibrate(three, &f, true);
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->n, 4 * a->layers);
    for (int i = 0; i < a->n; i++) {
        const lt_noted *x = &a->noted[i], *y = &b->noted[i];
        const size_t in = (size_t)x->in;
        assert_int_equal(x->rows, f.tokens);
        assert_memory_equal(x->most, y->most, in * sizeof *x->most);
        assert_memory_equal(x->gram, y->gram, in * in * sizeof *x->gram);
        assert_memory_equal(x->sum, y->sum, sizeof x->sum);
        double trace = 0;
        for (size_t j = 0; j < in; j++) trace += x->gram[j * in + j];
        assert_true(fabs(trace - x->sum[1]) <= 1e-5 * x->sum[1]);
    }
    assert_string_equal(a->noted[0].name[1], "encoder.layer.0.attention.self.key");
    assert_ptr_equal(lt_calibration_of(a, "encoder.layer.0.attention.self.value"), &a->noted[0]);
    assert_null(lt_calibration_of(a, "nowhere"));
    lt_calibration_free(a);
    lt_calibration_free(b);
    free_fixture(&f);
    lt_ctx_free(cx);
    lt_ctx_free(three);
}

static bool has_tap(lt_ctx *cx, const lt_readers *r, void *arg)
{
    for (int i = 0; i < r->n; i++) *(int *)arg += r->l[i]->watch != NULL;
    return true;
}

static void mistakes_in_calibrating(void **state)
{
    lt_ctx *cx = new_context(1);
    const int64_t begin[] = {0, 2}, none[] = {0, 0};
    const int32_t bad[] = {1, 1 << 20};
    char path[600];
    snprintf(path, sizeof path, "%s/bert-tiny", fixtures("models"));
    lt_model *m = lt_model_open(cx, path, &(lt_model_options){.precision = LT_PRECISION_F32});
    assert_done(cx, m);
    assert_null(lt_calibrate(cx, m, bad, begin, 1, NULL));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_INPUT);
    lt_ctx_clear(cx);
    assert_null(lt_calibrate(cx, m, bad, none, 1, NULL));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_INPUT);
    lt_ctx_clear(cx);
    int taps = 0;
    assert_true(lt_model_readers(cx, m, has_tap, &taps));
    assert_int_equal(taps, 0);
    lt_model_close(m);
    lt_ctx_free(cx);
}

/* ---- GPTQ ---- */

enum { IN = 70, OUT = 19, TOKENS = 200 };
static uint64_t random_state = 7;

static float uniform(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(random_state >> 40) / 0x1p23 - 1);
}

static bool nothing(lt_decl *d, lt_param *p) { return true; }

static lt_linear make_linear(lt_ctx *cx, const float *w)
{
    lt_linear l = {.kind = &lt_linear_dense, .name = lt_strdup(cx, "l"), .in = IN, .out = OUT, .dtype = LT_F32};
    lt_decl d = {.cx = cx, .visit = nothing};
    assert_done(cx, l.kind->declare(&l, &d) && lt_param_make(cx, &l.weight, LT_F32));
    memcpy(l.weight.value.data, w, OUT * IN * sizeof *w);
    return l;
}

/* The squared error of the outputs that x gives. */
static double error_of(lt_ctx *cx, const lt_linear *l, const float *w, const float *x)
{
    static float q[OUT][IN];
    double sum = 0;
    for (int32_t j = 0; j < OUT; j++) assert_done(cx, l->kind->rows(cx, l, &j, 1, q[j]));
    for (int t = 0; t < TOKENS; t++)
        for (int j = 0; j < OUT; j++) {
            double e = 0;
            for (int i = 0; i < IN; i++) e += (double)x[t * IN + i] * ((double)w[j * IN + i] - (double)q[j][i]);
            sum += e * e;
        }
    return sum;
}

static void gptq(void **state)
{
    static float w[OUT * IN], x[TOKENS * IN];
    static double gram[IN * IN];
    lt_ctx *cx = new_context(2);
    lt_noted noted = {.name = {(char *)"l"}, .readers = 1, .in = IN, .gram = gram};
    lt_calibration c = {.noted = &noted, .n = 1};
    for (int i = 0; i < OUT * IN; i++) w[i] = uniform();
    for (int t = 0; t < TOKENS; t++) /* six things that vary, and a little noise; input 3 is always zero */
        for (int i = 0; i < IN; i++) {
            x[t * IN + i] = i == 3 ? 0 : 0.05f * uniform();
            for (int k = 0; k < 6 && i != 3; k++) x[t * IN + i] += sinf((float)(t * (k + 1))) * cosf((float)(i * k + i));
        }
    lt_linear nearest = make_linear(cx, w), best = make_linear(cx, w), plain = make_linear(cx, w);
    nearest.kind = &lt_linear_int4;
    assert_done(cx, nearest.kind->convert(cx, &nearest));

    for (int i = 0; i < IN; i++) gram[i * IN + i] = 1 + i % 5;
    assert_done(cx, lt_gptq_int4(&c, cx, &plain));
    assert_memory_equal(plain.weight.value.data, nearest.weight.value.data, OUT * ((IN + 7) / 8) * 4);

    for (int i = 0; i < IN * IN; i++) gram[i] = 0;
    for (int t = 0; t < TOKENS; t++)
        for (int i = 0; i < IN; i++)
            for (int j = 0; j < IN; j++) gram[i * IN + j] += (double)x[t * IN + i] * x[t * IN + j];
    assert_done(cx, lt_gptq_int4(&c, cx, &best));
    const double before = error_of(cx, &nearest, w, x), after = error_of(cx, &best, w, x);
    if (!(after < 0.5 * before)) fail_msg("errors of outputs: %g to nearest, %g by GPTQ", before, after);

    gram[5 * IN + 5] = -1e9;
    lt_linear broken = make_linear(cx, w);
    assert_false(lt_gptq_int4(&c, cx, &broken));
    assert_int_equal(lt_ctx_status(cx), LT_ERR_INPUT);
    lt_linear_free(&nearest);
    lt_linear_free(&best);
    lt_linear_free(&plain);
    lt_linear_free(&broken);
    lt_ctx_free(cx);
}

/* ---- hostile checkpoints ---- */

typedef enum { GONE, NARROW, NOT_A_NUMBER, INFINITE, AS_BYTES, WRONG_NUMBERS } damage;

/* Writes the weights anew with one tensor damaged. */
static void damage_tensor(const char *name, damage d)
{
    lt_ctx *cx = new_context(1);
    lt_weights *w = lt_weights_open(cx, in_scratch(""));
    assert_done(cx, w);
    lt_stored *list = lt_alloc_array(cx, lt_weights_count(w), sizeof *list);
    int n = 0;
    bool found = false;
    for (int i = 0; i < lt_weights_count(w); i++) {
        lt_stored s = *lt_weights_at(w, i);
        const bool it = !strcmp(s.name, name);
        found |= it;
        if (it && d == GONE) continue;
        uint8_t *bytes = lt_alloc(cx, s.bytes + 1);
        memcpy(bytes, s.data, s.bytes);
        s.data = bytes;
        const float odd = d == NOT_A_NUMBER ? NAN : INFINITY;
        if (it && d == NARROW) s.bytes -= s.bytes / (size_t)s.shape[0], s.shape[0]--;
        if (it && (d == NOT_A_NUMBER || d == INFINITE)) memcpy(bytes + s.bytes - 4, &odd, 4);
        if (it && d == WRONG_NUMBERS) bytes[0] ^= 1;
        if (it && d == AS_BYTES) s.dtype = LT_U8, s.shape[s.rank - 1] *= (int64_t)(s.bytes / (size_t)(s.shape[0] * (s.rank > 1 ? s.shape[1] : 1)));
        list[n++] = s;
    }
    assert_true(found);
    assert_done(cx, lt_safetensors_write(cx, in_scratch("model.safetensors"), list, n, NULL));
    lt_weights_close(w);
    lt_ctx_free(cx);
}

#define Q "encoder.layer.0.attention.self.query."

static void tensors_are_refused(void **state)
{
    static const struct {
        lt_precision p;
        how h;
        const char *tensor;
        damage d;
    } cases[] = {
        {LT_PRECISION_INT8, ROUNDED, Q "weight_scale", GONE},
        {LT_PRECISION_INT8, ROUNDED, Q "weight_scale", NARROW},
        {LT_PRECISION_INT8, ROUNDED, Q "weight_scale", NOT_A_NUMBER},
        {LT_PRECISION_INT8, ROUNDED, Q "weight_scale", INFINITE},
        {LT_PRECISION_INT8, ROUNDED, Q "weight", GONE},
        {LT_PRECISION_INT8, ROUNDED, Q "weight", NARROW},
        {LT_PRECISION_INT8, CALIBRATED, Q "input_multiplier", GONE},
        {LT_PRECISION_INT8, CALIBRATED, Q "input_multiplier", NARROW},
        {LT_PRECISION_INT8, CALIBRATED, Q "input_multiplier", NOT_A_NUMBER},
        {LT_PRECISION_INT4, CALIBRATED, Q "weight_packed", GONE},
        {LT_PRECISION_INT4, CALIBRATED, Q "weight_packed", NARROW},
        {LT_PRECISION_INT4, ROUNDED, Q "weight_packed", AS_BYTES},
        {LT_PRECISION_INT4, ROUNDED, Q "weight_scale", NARROW},
        {LT_PRECISION_INT4, ROUNDED, Q "weight_scale", INFINITE},
        {LT_PRECISION_INT4, ROUNDED, Q "weight_shape", GONE},
        {LT_PRECISION_INT4, ROUNDED, Q "weight_shape", NARROW},
        {LT_PRECISION_INT4, ROUNDED, Q "weight_shape", WRONG_NUMBERS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char what[200], message[2000];
        quantize("bert-tiny", cases[i].p, cases[i].h);
        damage_tensor(cases[i].tensor, cases[i].d);
        snprintf(what, sizeof what, "%s %s, damage %d", lt_precision_name(cases[i].p), cases[i].tensor, cases[i].d);
        lt_ctx *cx = new_context(1);
        lt_model *m = lt_model_open(cx, in_scratch(""), NULL);
        snprintf(message, sizeof message, "%s", lt_ctx_error(cx));
        if (m) fail_msg("%s: was taken", what);
        if (!strstr(message, cases[i].d == GONE ? Q : cases[i].tensor)) fail_msg("%s: \"%s\" does not name the tensor", what, message);
        lt_ctx_free(cx);
    }
}

static void configs_are_refused(void **state)
{
    static const struct {
        const char *change, *says;
    } cases[] = {
        {"{\"quantization_config\":7}", "config.json|quantization_config"},
        {"{\"quantization_config\":{}}", "config.json|quant_method"},
        {"{\"quantization_config\":{\"quant_method\":\"gptq\"}}", "config.json|quant_method|gptq"},
        {"{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\"}}", "config.json|format|float-quantized"},
        {"{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"int-quantized\",\"config_groups\":{}}}", "config.json|config_groups"},
        {"{\"lathe\":[]}", "config.json|lathe"},
        {"{\"lathe\":{\"precision\":\"int3\"}}", "config.json|int3"},
        {"{\"lathe\":{\"precision\":\"int4\"}}", "config.json|int4|int8"},
        {"{\"lathe\":{\"precision\":\"int8\",\"threshold\":-1}}", "config.json|threshold"},
        {"{\"lathe\":{\"precision\":\"int8\",\"smoothed\":3}}", "config.json|smoothed"},
        {"{\"lathe\":{\"precision\":\"int8\",\"smoothed\":true}}", "input_multiplier"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        quantize("bert-tiny", LT_PRECISION_INT8, ROUNDED);
        edit("config.json", cases[i].change);
        must_refuse(cases[i].change, cases[i].says);
    }
}

/* Cut anywhere, or with bytes changed, a file is refused or read; nothing else. */
static void files_are_damaged(void **state)
{
    for (int p = LT_PRECISION_BF16; p <= LT_PRECISION_INT4; p++) {
        char message[2000];
        size_t n;
        quantize("bert-tiny", (lt_precision)p, CALIBRATED);
        char *bytes = read_bytes(in_scratch("model.safetensors"), &n);
        for (size_t cut = 0; cut < n; cut += n / 9 + 1) {
            write_bytes(in_scratch("model.safetensors"), bytes, cut);
            assert_true(refused(message));
            assert_non_null(strstr(message, "model.safetensors"));
        }
        for (int round = 0; round < 30; round++) {
            char *copy = malloc(n);
            assert_non_null(copy);
            memcpy(copy, bytes, n);
            for (int i = 0; i < 20; i++) copy[(size_t)((double)(uniform() + 1) / 2 * (double)(i % 2 ? n - 1 : 3000))] ^= (char)(1 << (i % 8));
            write_bytes(in_scratch("model.safetensors"), copy, n);
            refused(message);
            free(copy);
        }
        free(bytes);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_come_back),    cmocka_unit_test(smoothing_keeps_the_function), cmocka_unit_test(calibrating_is_exact),
        cmocka_unit_test(mistakes_in_calibrating), cmocka_unit_test(gptq),                    cmocka_unit_test(tensors_are_refused),
        cmocka_unit_test(configs_are_refused), cmocka_unit_test(files_are_damaged),
    };
    return cmocka_run_group_tests_name("quantized", tests, set_up, tear_down);
}

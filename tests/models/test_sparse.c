/* Protects: models whose weights are block-sparse run by the kernels for those, and give what they gave as dense ones: int8 bit for bit, others
 * within rounding; from 70 % of empty blocks on (int4: 90 %, and with AMX those that have it), and not below. */
#include "models/fixture.h"

#include "nn/linear/few.h"

static uint64_t state = 99;

static double uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 40) / 0x1p24;
}

/* Empties `percent` of the blocks of every block of four rows, evenly, so that a matrix has exactly that share where `in` is a multiple of 100. */
static void prune(float *w, int64_t out, int64_t in, int percent)
{
    for (int64_t j = 0; j < out; j += LT_SPARSE_BLOCK) {
        const int64_t turn = (int64_t)(uniform() * 100);
        for (int64_t i = 0; i < in; i++)
            for (int64_t r = j; (i * 37 + turn) % 100 < percent && r < out && r < j + LT_SPARSE_BLOCK; r++) w[r * in + i] = 0;
    }
}

/* ---- linears ---- */

static bool nothing(lt_decl *d, lt_param *p) { return true; }

/* Its weight in memory, not prepared. */
static lt_linear make_linear(lt_ctx *cx, int64_t out, int64_t in, int percent, const lt_linear_kind *kind)
{
    lt_linear l = {.kind = &lt_linear_dense, .name = lt_strdup(cx, "l"), .in = in, .out = out, .has_bias = true, .dtype = LT_F32, .coding = {.threshold = 0.9f}};
    lt_decl d = {.cx = cx, .visit = nothing};
    assert_done(cx, l.kind->declare(&l, &d) && lt_param_make(cx, &l.weight, LT_F32) && lt_param_make(cx, &l.bias, LT_F32));
    float *w = l.weight.value.data, *b = l.bias.value.data;
    for (int64_t i = 0; i < out * in; i++) w[i] = (float)(0.01 + uniform());
    for (int64_t i = 0; i < out; i++) b[i] = (float)uniform();
    prune(w, out, in, percent);
    l.kind = kind;
    if (kind->convert) assert_done(cx, kind->convert(cx, &l));
    return l;
}

static lt_tensor *inputs(lt_ctx *cx, int64_t m, int64_t k)
{
    lt_tensor *x = lt_tensor_2d(cx, LT_F32, m, k);
    assert_done(cx, x);
    for (int64_t i = 0; i < m * k; i++) ((float *)x->data)[i] = (float)(2 * uniform() - 1);
    return x;
}

static lt_product_id product_of(const lt_linear_kind *kind)
{
    return kind == &lt_linear_int8 ? LT_PRODUCT_INT8 : kind == &lt_linear_int4 ? LT_PRODUCT_INT4 : kind == &lt_linear_bf16 ? LT_PRODUCT_BF16 : LT_PRODUCTS;
}

/* From what share of empty blocks on this machine runs a kind by the sparse kernels. */
static int least_percent(lt_ctx *cx, const lt_linear_kind *kind)
{
    const lt_product_id id = product_of(kind);
    if (id == LT_PRODUCT_INT4) return 90;
    return id != LT_PRODUCTS && !strncmp(lt_kernels_of(cx, LT_F32)->product[id]->name, "amx", 3) ? 90 : 70;
}

/* What the dense product makes of a linear's weight, taken before it is prepared. */
static lt_tensor *run_dense(lt_ctx *cx, const lt_linear *l, lt_tensor *x, const lt_gemm_epilogue *e)
{
    const lt_kernels *kn = lt_kernels_of(cx, LT_F32);
    const lt_product_id id = product_of(l->kind);
    void *packed = lt_alloc(cx, id < LT_PRODUCTS ? lt_product_bytes(kn, id, l->out, l->in) : lt_packed_bytes(kn, l->out, l->in));
    assert_done(cx, packed);
    if (id == LT_PRODUCTS) {
        kn->pack(l->out, l->in, l->weight.value.data, l->in, 1, packed);
        return lt_gemm(cx, x, packed, l->out, e, NULL);
    }
    const float *scale = ((const lt_few *)l->state)->scale.value.data;
    const uint32_t *words = l->weight.value.data;
    uint8_t *nibbles = lt_alloc_array(cx, l->out * l->in, 1);
    for (int64_t i = 0; id == LT_PRODUCT_INT4 && i < l->out * l->in; i++) {
        const int64_t at = i % l->in;
        nibbles[i] = words[i / l->in * ((l->in + 7) / 8) + at / 8] >> 4 * (at % 8) & 15;
    }
    kn->product[id]->pack(l->out, l->in, id == LT_PRODUCT_INT4 ? nibbles : l->weight.value.data, scale, packed);
    return lt_product_run(cx, id, x, &l->coding, packed, l->out, e, NULL);
}

static void one_linear_by(const char *isa, int threads, int64_t out, int64_t in, int64_t m, int percent, const lt_linear_kind *kind)
{
    lt_ctx *cx = lt_ctx_new(&(lt_options){.threads = threads, .isa = isa});
    assert_non_null(cx);
    lt_scope scope = lt_open(cx, NULL);
    lt_linear l = make_linear(cx, out, in, percent, kind);
    lt_tensor *x = inputs(cx, m, in), *z = inputs(cx, m, out);
    const lt_gemm_epilogue g = {.bias = l.bias.value.data, .act = LT_ACT_GELU, .residual = z->data, .residual_stride = z->stride[0]};
    lt_tensor *want = run_dense(cx, &l, x, &g);
    assert_done(cx, want && l.kind->prepare(cx, &l));
    assert_int_equal(l.kind != kind, percent >= least_percent(cx, kind));
    const lt_epilogue e = {.act = LT_ACT_GELU, .residual = z};
    lt_tensor *got = lt_project(cx, &l, x, &e), *shared = lt_project(cx, &l, lt_encode_for(cx, (const lt_linear *[]){&l, &l}, 2, x), &e);
    assert_done(cx, got && shared);
    assert_true(same_bits(got, 0, shared, 0, m));
    if (kind == &lt_linear_int8) assert_true(same_bits(got, 0, want, 0, m));
    else assert_true(distance(got, 0, 1, want, 0, m) < 2e-5 * sqrt((double)in)); /* sums of `in` products of about 1 */
    lt_end(cx, scope);
    lt_linear_free(&l);
    lt_ctx_free(cx);
}

/* By every table of this machine but the reference. */
static void one_linear(int threads, int64_t out, int64_t in, int64_t m, int percent, const lt_linear_kind *kind)
{
    for (int i = 1; i < lt_kernels_count(); i++) one_linear_by(lt_kernels_at(i)->isa, threads, out, in, m, percent, kind);
}

static void linears(void **unused)
{
    static const lt_linear_kind *const kinds[] = {&lt_linear_dense, &lt_linear_int8, &lt_linear_bf16, &lt_linear_int4};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        one_linear(1, 64, 200, 33, 80, kinds[i]);
        one_linear(2, 301, 300, 257, 90, kinds[i]);
        one_linear(2, 66, 100, 1, 100, kinds[i]);
        one_linear(2, 512, 400, 100, 70, kinds[i]);
        one_linear(2, 512, 400, 100, 69, kinds[i]);
        one_linear(2, 512, 400, 100, 89, kinds[i]);
        one_linear(1, 8, 100, 3, 0, kinds[i]);
        one_linear(1, 40, 101, 50, 95, kinds[i]);
    }
}

/* ---- models ---- */

/* A copy of a fixture whose weights in blocks have `percent` of empty blocks. */
static void prune_model(lt_ctx *cx, const char *from, const char *to, int percent)
{
    copy_folder(from, to);
    lt_weights *w = lt_weights_open(cx, from);
    assert_done(cx, w);
    const int n = lt_weights_count(w);
    lt_stored *list = lt_alloc_array(cx, n, sizeof *list);
    for (int i = 0; i < n; i++) {
        const lt_stored *s = lt_weights_at(w, i);
        list[i] = *s;
        if (s->rank != 2 || !strstr(s->name, "layer.")) continue;
        float *copy = lt_alloc_array(cx, s->shape[0] * s->shape[1], sizeof *copy);
        assert_done(cx, lt_stored_read(cx, s, LT_F32, copy));
        for (int64_t j = 0; j < s->shape[0]; j += LT_SPARSE_BLOCK)
            for (int64_t k = 0; k < s->shape[1]; k++)
                for (int64_t r = j; (k * 7 + j) % 20 < percent / 5 && r < j + LT_SPARSE_BLOCK && r < s->shape[0]; r++) copy[r * s->shape[1] + k] = 0;
        list[i].dtype = LT_F32;
        list[i].data = copy;
        list[i].bytes = (size_t)(s->shape[0] * s->shape[1]) * sizeof *copy;
    }
    char path[1024];
    join(path, to, "model.safetensors");
    assert_int_equal(unlink(path), 0);
    assert_done(cx, lt_safetensors_write(cx, path, list, n, NULL));
    lt_weights_close(w);
}

static int sparse_of(lt_ctx *cx, const lt_linear_kind *kind, int percent) /* of two layers of query, key, value, output, up and down */
{
    return percent >= least_percent(cx, kind) ? 12 : 0;
}

static void models(void **unused)
{
    static const struct {
        lt_precision p;
        const lt_linear_kind *kind;
        double far; /* from f32, rows that norms make of size 1 */
    } made[] = {{LT_PRECISION_F32, &lt_linear_dense, 1e-5}, {LT_PRECISION_BF16, &lt_linear_bf16, 0.2}, {LT_PRECISION_INT8, &lt_linear_int8, 0.2},
                {LT_PRECISION_INT4, &lt_linear_int4, 2}};
    static const int percents[] = {50, 80, 95};
    for (int p = 0; p < 3; p++) {
        const int percent = percents[p];
        lt_ctx *cx = new_context(2);
        lt_scope scope = lt_open(cx, NULL);
        fixture f;
        read_fixture(cx, &f, "bert-tiny");
        char *folder = temporary_folder();
        prune_model(cx, f.path, folder, percent);
        lt_model *dense = lt_model_open(cx, folder, &(lt_model_options){.unpacked = true, .no_tokenizer = true});
        lt_tensor *want = dense ? forward(cx, dense, &f, 0, f.n, LT_OUT_HIDDEN, NULL) : NULL;
        assert_done(cx, want);
        assert_int_equal(lt_model_about(dense)->sparse, 0);
        for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
            lt_model *m = lt_model_open(cx, folder, &(lt_model_options){.no_tokenizer = true, .precision = made[i].p});
            assert_done(cx, m);
            assert_int_equal(lt_model_about(m)->sparse, sparse_of(cx, made[i].kind, percent));
            lt_tensor *got = forward(cx, m, &f, 0, f.n, LT_OUT_HIDDEN, NULL), *alone = forward(cx, m, &f, 0, 1, LT_OUT_HIDDEN, NULL);
            assert_done(cx, got && alone);
            assert_true(distance(got, 0, 1, want, 0, want->shape[0]) < made[i].far);
            assert_true(same_bits(alone, 0, got, 0, f.length[0]));
            lt_model_close(m);
        }
        lt_model_close(dense);
        free_fixture(&f);
        remove_folder(folder);
        free(folder);
        lt_end(cx, scope);
        lt_ctx_free(cx);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {cmocka_unit_test(linears), cmocka_unit_test(models)};
    return cmocka_run_group_tests_name("sparse", tests, NULL, NULL);
}

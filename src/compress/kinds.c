/* How weights become codes, for `lathe list`. */
#include "lathe/compress.h"

const lt_kind *lt_compress_kinds(int *n)
{
    static const lt_kind kinds[] = {
        {"quantizer", "nearest", "each weight becomes the nearest code", ""},
        {"quantizer", "smooth", "int8: ranges of inputs move into the weights", "Xiao et al. 2022, arXiv 2211.10438"},
        {"quantizer", "gptq", "int4: later codes make up for the errors of earlier ones", "Frantar et al. 2022, arXiv 2210.17323"},
    };
    *n = sizeof kinds / sizeof *kinds;
    return kinds;
}

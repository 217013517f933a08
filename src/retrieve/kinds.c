/* What this room knows, for `lathe list`. */
#include "lathe/retrieve.h"

static const lt_kind kinds[] = {
    {"analyzer", "plain", "[a-z0-9]+ of the lower-cased text", ""},
    {"analyzer", "unicode",
     "letters and digits of any script, case and accents folded; pairs of characters where no blanks are written",
     "Unicode 15; Lucene's CJKBigramFilter"},
    {"analyzer", "english", "unicode, and stemming (default)", "Porter, An algorithm for suffix stripping, 1980"},
    {"analyzer", "code", "plain, with camelCase and snake_case split", ""},
    {"search", "bm25", "keywords", "Robertson & Zaragoza 2009, as in Lucene"},
    {"search", "dense", "dot products of embeddings, exact", ""},
    {"search", "hybrid", "bm25 and dense, fused by reciprocal ranks", "Cormack, Clarke & Büttcher, SIGIR 2009"},
    {"documents", "lines", "text, a document a line", ""},
    {"documents", "jsonl", "an object a line: id, title, text", ""},
    {"documents", "csv", "columns id, title, text; also tab-separated", "RFC 4180"},
    {"documents", "beir", "a folder with corpus.jsonl", "Thakur et al. 2021"},
    {"documents", "trec", "SGML: <DOC><DOCNO>id</DOCNO> … </DOC>", "TREC"},
    {"documents", "folder", "a file a document", ""},
    {"metric", "map", "mean average precision; map_cut_k", "trec_eval"},
    {"metric", "gm_map", "geometric mean of average precision", "trec_eval"},
    {"metric", "ndcg", "normalised discounted cumulative gain; ndcg_cut_k", "Järvelin & Kekäläinen 2002; trec_eval"},
    {"metric", "recall", "recall_k: relevant documents among the first k", "trec_eval"},
    {"metric", "P", "P_k: precision of the first k", "trec_eval"},
    {"metric", "recip_rank", "reciprocal rank of the first relevant document", "trec_eval"},
    {"metric", "success", "success_k: a relevant document among the first k", "trec_eval"},
    {"metric", "Rprec", "precision after as many documents as are relevant", "trec_eval"},
    {"metric", "bpref", "relevant documents above judged irrelevant ones", "Buckley & Voorhees 2004; trec_eval"},
    {"metric", "iprec_at_recall", "interpolated precision at eleven recall points; 11pt_avg", "trec_eval"},
};

const lt_kind *lt_retrieve_kinds(int *n)
{
    *n = sizeof kinds / sizeof *kinds;
    return kinds;
}

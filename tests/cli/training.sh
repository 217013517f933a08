# What tests of training share; sourced behind tap.sh.

weights() { sha256sum <"$1/model.safetensors"; } # of a model directory
no_speed() { sed 's/,"tokens_per_s":[0-9.e+]*//' "$1"; } # a log without what differs from run to run

# Rows of text and label, 120 of three labels.
labelled_rows() {
    printf 'text\tlabel\n'
    for i in $(seq 40); do printf 'a good line %s\tgood\nthis is bad %s\tbad\nso so %s\tmiddling\n' "$i" "$i" "$i"; done
}

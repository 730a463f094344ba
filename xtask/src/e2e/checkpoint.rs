//! A small DistilBERT checkpoint, made on the spot: the hub's file names and tensors, weights drawn
//! from a seed.
//!
//! It stands where `distilbert-base-uncased` stands in the tutorial: untrained for the task, with a
//! masked-LM head and without a classifier, so that importing, loading and fine-tuning take the
//! same paths.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;
use serde_json::{Value, json};

/// Width of the hidden states.
const DIM: usize = 64;
/// Width of the feed-forward layers.
const HIDDEN: usize = 128;
const LAYERS: usize = 2;
const HEADS: usize = 4;
/// Longest text in tokens.
const POSITIONS: usize = 128;
/// Standard deviation of the weights, as in DistilBERT's own initialisation, scaled up for the
/// small width.
const SPREAD: f32 = 0.05;

/// Writes the checkpoint; its vocabulary has every word of `texts`, and letters for all others.
pub(crate) fn write(dir: &Path, texts: &[&str]) -> anyhow::Result<()> {
    fs::create_dir_all(dir)?;
    let vocabulary = vocabulary(texts);
    fs::write(dir.join("vocab.txt"), vocabulary.join("\n") + "\n")?;
    fs::write(dir.join("tokenizer.json"), pretty(&tokenizer(&vocabulary))?)?;
    fs::write(dir.join("tokenizer_config.json"), pretty(&tokenizer_config())?)?;
    fs::write(dir.join("config.json"), pretty(&config(vocabulary.len()))?)?;
    fs::write(dir.join("README.md"), CARD)?;
    fs::write(dir.join("model.safetensors"), safetensors(&tensors(vocabulary.len()))?)?;
    Ok(())
}

const CARD: &str = "---\nlicense: apache-2.0\nlanguage: en\ntags: [distilbert]\n---\n# A small DistilBERT\n\nMade on the spot for the demo of kit-rs; its weights are random.\n";

/// BERT's special tokens, single letters and signs, and the words, in a fixed order.
fn vocabulary(texts: &[&str]) -> Vec<String> {
    let mut entries: Vec<String> =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned).into();
    let letters = ('a'..='z').chain('0'..='9');
    entries.extend(letters.clone().map(String::from));
    entries.extend(letters.map(|letter| format!("##{letter}")));
    entries.extend("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".chars().map(String::from));
    let words: BTreeSet<String> = texts
        .iter()
        .flat_map(|text| text.split(|letter: char| !letter.is_ascii_alphabetic()))
        .filter(|word| word.len() > 1)
        .map(str::to_ascii_lowercase)
        .collect();
    entries.extend(words);
    entries
}

/// The tokenizer of bert-base-uncased, over our vocabulary.
fn tokenizer(vocabulary: &[String]) -> Value {
    let special: Vec<Value> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        .iter()
        .enumerate()
        .map(|(id, content)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let ids: serde_json::Map<String, Value> =
        vocabulary.iter().enumerate().map(|(id, word)| (word.clone(), json!(id))).collect();
    let token = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": special,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("[CLS]"), text("A"), token("[SEP]")],
            "pair": [token("[CLS]"), text("A"), token("[SEP]"), text("B"), token("[SEP]")],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": ids},
    })
}

fn tokenizer_config() -> Value {
    json!({
        "tokenizer_class": "DistilBertTokenizer", "do_lower_case": true, "model_max_length": POSITIONS,
        "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]",
    })
}

fn config(vocabulary: usize) -> Value {
    json!({
        "architectures": ["DistilBertForMaskedLM"], "model_type": "distilbert", "activation": "gelu", "attention_dropout": 0.1, "dropout": 0.1,
        "seq_classif_dropout": 0.2, "qa_dropout": 0.1, "dim": DIM, "hidden_dim": HIDDEN, "n_layers": LAYERS, "n_heads": HEADS,
        "initializer_range": SPREAD, "max_position_embeddings": POSITIONS, "pad_token_id": 0, "sinusoidal_pos_embds": false,
        "tie_weights_": true, "vocab_size": vocabulary, "transformers_version": "4.35.2", "torch_dtype": "float32",
    })
}

struct Tensor {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// The tensors of `DistilBertForMaskedLM`, whose projector's weight is the word embedding.
fn tensors(vocabulary: usize) -> Vec<Tensor> {
    let mut draw = Gauss(0x006b_6974_2d72_7321);
    let mut all = Vec::new();
    let mut random = |name: String, shape: &[usize]| {
        let values = (0..shape.iter().product()).map(|_| draw.next() * SPREAD).collect();
        all.push(Tensor { name, shape: shape.to_vec(), values });
    };
    random("distilbert.embeddings.word_embeddings.weight".into(), &[vocabulary, DIM]);
    random("distilbert.embeddings.position_embeddings.weight".into(), &[POSITIONS, DIM]);
    for layer in 0..LAYERS {
        let within = format!("distilbert.transformer.layer.{layer}");
        for name in ["q_lin", "k_lin", "v_lin", "out_lin"] {
            random(format!("{within}.attention.{name}.weight"), &[DIM, DIM]);
        }
        random(format!("{within}.ffn.lin1.weight"), &[HIDDEN, DIM]);
        random(format!("{within}.ffn.lin2.weight"), &[DIM, HIDDEN]);
    }
    random("vocab_transform.weight".into(), &[DIM, DIM]);
    let mut constant = |name: String, width: usize, value: f32| {
        all.push(Tensor { name, shape: vec![width], values: vec![value; width] });
    };
    let norms = (0..LAYERS).flat_map(|layer| {
        ["sa_layer_norm", "output_layer_norm"]
            .map(|norm| format!("distilbert.transformer.layer.{layer}.{norm}"))
    });
    for norm in
        norms.chain(["distilbert.embeddings.LayerNorm".to_owned(), "vocab_layer_norm".to_owned()])
    {
        constant(format!("{norm}.weight"), DIM, 1.0);
        constant(format!("{norm}.bias"), DIM, 0.0);
    }
    for layer in 0..LAYERS {
        let within = format!("distilbert.transformer.layer.{layer}");
        for name in [
            "attention.q_lin",
            "attention.k_lin",
            "attention.v_lin",
            "attention.out_lin",
            "ffn.lin2",
        ] {
            constant(format!("{within}.{name}.bias"), DIM, 0.0);
        }
        constant(format!("{within}.ffn.lin1.bias"), HIDDEN, 0.0);
    }
    constant("vocab_transform.bias".into(), DIM, 0.0);
    constant("vocab_projector.bias".into(), vocabulary, 0.0);
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The safetensors format: the header's length (8 bytes, little endian), the header (JSON), the
/// values.
fn safetensors(tensors: &[Tensor]) -> anyhow::Result<Vec<u8>> {
    let mut header =
        serde_json::Map::from_iter([("__metadata__".to_owned(), json!({"format": "pt"}))]);
    let mut offset = 0;
    for tensor in tensors {
        let end = offset + 4 * tensor.values.len();
        header.insert(
            tensor.name.clone(),
            json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end]}),
        );
        offset = end;
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = u64::try_from(header.len())?.to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(
        tensors.iter().flat_map(|tensor| &tensor.values).flat_map(|value| value.to_le_bytes()),
    );
    Ok(bytes)
}

/// Normally distributed numbers from a seed: SplitMix64, and the sum of twelve uniform numbers less
/// six.
struct Gauss(u64);

impl Gauss {
    fn next(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }

    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 40) as f32 / (1_u64 << 24) as f32
    }
}

fn pretty(document: &Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

//! A dictionary of tensors, and where each of them is.

use std::ops::Range;
use std::rc::Rc;

use safetensors::tensor::Dtype;

use crate::Stored;
use crate::value::{Element, Made, Tensor, Value};

/// The tensors of a dictionary; `storage` tells where a storage is in the file.
pub(crate) fn tensors(
    found: &Made,
    storage: impl Fn(&str) -> Option<Range<usize>>,
) -> Result<Vec<(String, Stored)>, String> {
    let mut tensors = Vec::new();
    for (name, tensor) in named(found)? {
        let place = storage(&tensor.storage.key);
        let place = place.ok_or_else(|| format!("the storage of {name} is not in the file"))?;
        let stored = stored(&tensor, &place).map_err(|problem| format!("{name} {problem}"))?;
        tensors.push((name, stored));
    }
    Ok(tensors)
}

/// The keys of storages, in their order in the file.
pub(crate) fn keys(found: &Made) -> Result<Vec<Rc<str>>, String> {
    let unknown = || "it does not list its storages".to_owned();
    let Value::List(keys) = found.value else { return Err(unknown()) };
    let key = |key: &Value| match key {
        Value::Text(key) => Ok(Rc::clone(key)),
        _ => Err(unknown()),
    };
    found.heap.of(keys).iter().map(key).collect()
}

/// What one element of a storage takes, where a tensor is in it.
pub(crate) fn element_size(found: &Made, key: &str) -> Option<usize> {
    let tensors = named(found).ok()?;
    tensors
        .iter()
        .find(|(_, tensor)| &*tensor.storage.key == key)
        .map(|(_, tensor)| tensor.storage.element.size())
}

fn named(found: &Made) -> Result<Vec<(String, Rc<Tensor>)>, String> {
    let Value::Dict(entries) = found.value else {
        return Err("it holds no dictionary of tensors".to_owned());
    };
    let one = |entry: &[Value]| match entry {
        [Value::Text(name), Value::Tensor(tensor)] => Ok((name.to_string(), Rc::clone(tensor))),
        [Value::Text(name), _] => {
            Err(format!("{name} is no tensor: it holds more than a model's weights"))
        }
        _ => Err("a tensor has no name".to_owned()),
    };
    found.heap.of(entries).chunks(2).map(one).collect()
}

fn stored(tensor: &Tensor, storage: &Range<usize>) -> Result<Stored, String> {
    let Tensor { storage: of, offset, shape, strides } = tensor;
    let too_large = || "is larger than its storage".to_owned();
    let mut n_elements = 1_usize;
    for (size, stride) in shape.iter().zip(strides).rev() {
        if *size != 1 && *stride != n_elements {
            return Err("is not contiguous, which is not supported".to_owned());
        }
        n_elements = n_elements.checked_mul(*size).ok_or_else(too_large)?;
    }
    let size = of.element.size();
    let begin = offset
        .checked_mul(size)
        .and_then(|begin| begin.checked_add(storage.start))
        .ok_or_else(too_large)?;
    let end = n_elements
        .checked_mul(size)
        .and_then(|n_bytes| begin.checked_add(n_bytes))
        .ok_or_else(too_large)?;
    if end > storage.end {
        return Err(too_large());
    }
    Ok(Stored { dtype: dtype(of.element), shape: shape.clone(), range: begin..end })
}

fn dtype(element: Element) -> Dtype {
    match element {
        Element::F64 => Dtype::F64,
        Element::F32 => Dtype::F32,
        Element::F16 => Dtype::F16,
        Element::Bf16 => Dtype::BF16,
        Element::I64 => Dtype::I64,
        Element::I32 => Dtype::I32,
        Element::I16 => Dtype::I16,
        Element::I8 => Dtype::I8,
        Element::U8 => Dtype::U8,
        Element::Bool => Dtype::BOOL,
    }
}

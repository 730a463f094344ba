//! The stack machine of pickles, of which only what holds values does anything.
//! Source: the opcodes' descriptions in Python's `pickletools.py`.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crate::reader::Reader;
use crate::value::{Global, Heap, Items, Made, Storage, Tensor, Value};

/// Values that one pickle may hold: a dictionary of tensors has some twenty for each.
const MAX_VALUES: usize = 1 << 22;

/// Runs a pickle that may hold nothing but a dictionary of tensors; returns what it makes and how
/// many bytes it has.
pub(crate) fn run(pickle: &[u8]) -> Result<(Made, usize), String> {
    let mut machine = Machine::new(pickle, None);
    let value = machine.run()?;
    Ok((Made { value, heap: machine.heap }, pickle.len() - machine.reader.rest.len()))
}

/// Follows any pickle to its end, and collects the names that it has Python look up, as far as it
/// can be followed; then what keeps from following it, or how many bytes it has.
pub(crate) fn follow(pickle: &[u8]) -> (BTreeSet<String>, Result<usize, String>) {
    let mut machine = Machine::new(pickle, Some(BTreeSet::new()));
    let ended = machine.run();
    let n_read = pickle.len() - machine.reader.rest.len();
    (machine.names.unwrap_or_default(), ended.map(|_| n_read))
}

struct Machine<'a> {
    reader: Reader<'a>,
    stack: Vec<Value>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<usize, Value>,
    heap: Heap,
    n_values: usize,
    /// Where names are collected, whatever they are; otherwise one that is unknown is an error.
    names: Option<BTreeSet<String>>,
}

impl<'a> Machine<'a> {
    fn new(pickle: &'a [u8], names: Option<BTreeSet<String>>) -> Self {
        Self {
            reader: Reader { rest: pickle },
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            heap: Heap::default(),
            n_values: 0,
            names,
        }
    }

    fn run(&mut self) -> Result<Value, String> {
        loop {
            match self.reader.byte()? {
                b'.' => return self.pop(),
                opcode => self.step(opcode)?,
            }
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            // PROTO and FRAME say nothing of values.
            0x80 => drop(self.reader.byte()?),
            0x95 => drop(self.reader.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => self.push(self.stack.last().cloned().ok_or(EMPTY)?)?,
            b'N' => self.push(Value::None)?,
            0x88 | 0x89 => self.push(Value::Other)?,
            b'}' => self.contain(Vec::new(), Value::Dict)?,
            b']' => self.contain(Vec::new(), Value::List)?,
            b')' => self.contain(Vec::new(), Value::Tuple)?,
            b't' | b'l' | b'd' => {
                let items = self.since_mark()?;
                match opcode {
                    b't' => self.contain(items, Value::Tuple)?,
                    b'l' => self.contain(items, Value::List)?,
                    _ => self.contain(in_pairs(items)?, Value::Dict)?,
                }
            }
            0x85..=0x87 => {
                let at = self.stack.len().checked_sub(usize::from(opcode - 0x84)).ok_or(EMPTY)?;
                let items = self.stack.split_off(at);
                self.contain(items, Value::Tuple)?;
            }
            b'a' | b'e' => {
                let items = if opcode == b'a' { vec![self.pop()?] } else { self.since_mark()? };
                match self.stack.last() {
                    Some(Value::List(list)) => self.heap.extend(*list, items),
                    Some(_) if self.names.is_some() => (),
                    _ => return Err("the pickle appends to what is no list".to_owned()),
                }
            }
            b's' | b'u' => {
                let items = match opcode {
                    b's' => {
                        let (value, key) = (self.pop()?, self.pop()?);
                        vec![key, value]
                    }
                    _ => in_pairs(self.since_mark()?)?,
                };
                match self.stack.last() {
                    Some(Value::Dict(dict)) => self.heap.extend(*dict, items),
                    Some(_) if self.names.is_some() => (),
                    _ => return Err("the pickle sets keys of what is no dictionary".to_owned()),
                }
            }
            b'c' | 0x93 | b'R' | b'Q' | b'b' | 0x81 => self.object(opcode)?,
            b'q' | b'r' | b'p' | 0x94 | b'h' | b'j' | b'g' => self.remember(opcode)?,
            b'i' | b'o' | b'P' | 0x82..=0x84 | 0x8f..=0x92 | 0x97 | 0x98
                if self.names.is_some() =>
            {
                self.other(opcode)?;
            }
            _ => self.scalar(opcode)?,
        }
        Ok(())
    }

    /// What no dictionary of tensors has: followed where names are collected.
    fn other(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            // INST and OBJ: a class, called with what is since the mark.
            b'i' => {
                let (module, name) = (self.reader.line()?, self.reader.line()?);
                self.look_up(module, name)?;
                self.since_mark()?;
            }
            b'o' => drop(self.since_mark()?),
            // A persistent id is whatever the reader makes of it.
            b'P' => drop(self.reader.line()?),
            // EXT: names by number, which are registered elsewhere.
            0x82..=0x84 => {
                let number = self.reader.number([1, 2, 4][usize::from(opcode - 0x82)])?;
                self.look_up("copyreg extension", &number.to_string())?;
            }
            // Sets; ADDITEMS leaves its set where it is.
            0x8f => (),
            0x90 => {
                self.since_mark()?;
                return Ok(());
            }
            0x91 => drop(self.since_mark()?),
            // NEWOBJ_EX: class, arguments, arguments by name.
            0x92 => drop((self.pop()?, self.pop()?, self.pop()?)),
            // Buffers that lie elsewhere; one that is marked as read-only stays where it is.
            0x98 => return Ok(()),
            _ => (),
        }
        self.push(Value::Other)
    }

    /// A name that Python would look up.
    fn look_up(&mut self, module: &str, name: &str) -> Result<Value, String> {
        match &mut self.names {
            None => Global::named(module, name).map(Value::Global),
            Some(names) => {
                names.insert(format!("{module}.{name}"));
                Ok(Value::Other)
            }
        }
    }

    /// Numbers and texts.
    fn scalar(&mut self, opcode: u8) -> Result<(), String> {
        let reader = &mut self.reader;
        let int = |n: Option<i64>| n.map_or(Value::Other, Value::Int);
        let value = match opcode {
            b'J' => int(reader.long(4)?),
            b'K' => Value::Int(i64::from(reader.byte()?)),
            b'M' => int(i64::try_from(reader.number(2)?).ok()),
            b'I' => match reader.line()? {
                "00" | "01" => Value::Other,
                line => int(line.parse().ok()),
            },
            b'L' => int(reader.line()?.trim_end_matches('L').parse().ok()),
            0x8a | 0x8b => {
                let n_bytes = reader.number(if opcode == 0x8a { 1 } else { 4 })?;
                int(reader.long(n_bytes)?)
            }
            b'G' => {
                reader.take(8)?;
                Value::Other
            }
            b'F' => {
                reader.line()?;
                Value::Other
            }
            b'X' => Value::Text(reader.text(4)?.into()),
            0x8c => Value::Text(reader.text(1)?.into()),
            0x8d => Value::Text(reader.text(8)?.into()),
            // Texts of Python 2.
            b'T' => Value::Text(reader.text(4)?.into()),
            b'U' => Value::Text(reader.text(1)?.into()),
            b'V' => Value::Text(reader.line()?.into()),
            b'B' | b'C' | 0x8e | 0x96 => {
                reader.counted(match opcode {
                    b'B' => 4,
                    b'C' => 1,
                    _ => 8,
                })?;
                Value::Other
            }
            // A text of protocol 0, in quotes.
            b'S' => Value::Text(reader.line()?.trim().trim_matches(['\'', '"']).into()),
            _ => {
                return Err(format!(
                    "the pickle has opcode {opcode:#04x}, which a dictionary of tensors has not"
                ));
            }
        };
        self.push(value)
    }

    /// Puts values aside, or takes them from there.
    fn remember(&mut self, opcode: u8) -> Result<(), String> {
        let at = match opcode {
            b'q' | b'h' => self.reader.number(1)?,
            b'r' | b'j' => self.reader.number(4)?,
            0x94 => self.memo.len(),
            _ => self.reader.line()?.parse().map_err(|_| "a place is no number".to_owned())?,
        };
        if matches!(opcode, b'h' | b'j' | b'g') {
            let value =
                self.memo.get(&at).cloned().ok_or("the pickle takes what it has not put")?;
            return self.push(value);
        }
        let value = self.stack.last().cloned().ok_or(EMPTY)?;
        self.count(1)?;
        self.memo.insert(at, value);
        Ok(())
    }

    /// Names, and what would be made by calling them.
    fn object(&mut self, opcode: u8) -> Result<(), String> {
        let made = match opcode {
            b'c' => {
                let (module, name) = (self.reader.line()?, self.reader.line()?);
                self.look_up(module, name)?
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.look_up(&module, &name)?,
                _ => return Err("a name is no text".to_owned()),
            },
            b'Q' => {
                let id = self.pop()?;
                match self.names {
                    Some(_) => Value::Other,
                    None => Value::Storage(Rc::new(storage(&id, &self.heap)?)),
                }
            }
            // What is set on an object changes no tensor: a dictionary's version numbers.
            b'b' => {
                self.pop()?;
                return Ok(());
            }
            _ => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                if self.names.is_some() {
                    return self.push(Value::Other);
                }
                let (Value::Tuple(arguments), Value::Global(callee)) = (arguments, callee) else {
                    return Err("the pickle calls what is no name".to_owned());
                };
                let arguments = self.heap.of(arguments).to_vec();
                build(callee, &arguments, &mut self.heap)?
            }
        };
        self.push(made)
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        self.count(1)?;
        self.stack.push(value);
        Ok(())
    }

    fn count(&mut self, n: usize) -> Result<(), String> {
        self.n_values += n;
        match self.n_values > MAX_VALUES {
            true => Err(format!("the pickle has more than {MAX_VALUES} values")),
            false => Ok(()),
        }
    }

    fn pop(&mut self) -> Result<Value, String> {
        Ok(self.stack.pop().ok_or(EMPTY)?)
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, String> {
        let at = self.marks.pop().filter(|at| *at <= self.stack.len()).ok_or(EMPTY)?;
        Ok(self.stack.split_off(at))
    }

    fn contain(&mut self, items: Vec<Value>, kind: fn(Items) -> Value) -> Result<(), String> {
        let items = self.heap.put(items);
        self.push(kind(items))
    }
}

const EMPTY: &str = "the pickle takes more than it has put";

fn in_pairs(items: Vec<Value>) -> Result<Vec<Value>, String> {
    match items.len() % 2 {
        0 => Ok(items),
        _ => Err("a key has no value".to_owned()),
    }
}

/// What a call of one of the known names would make.
fn build(callee: Global, arguments: &[Value], heap: &mut Heap) -> Result<Value, String> {
    match (callee, arguments) {
        (Global::OrderedDict, []) => Ok(Value::Dict(heap.put(Vec::new()))),
        (Global::OrderedDict, [Value::List(pairs)]) => {
            let mut items = Vec::new();
            for pair in heap.of(*pairs) {
                match pair {
                    Value::Tuple(pair) | Value::List(pair) if heap.of(*pair).len() == 2 => {
                        items.extend_from_slice(heap.of(*pair));
                    }
                    _ => return Err("an item of a dictionary is no pair".to_owned()),
                }
            }
            Ok(Value::Dict(heap.put(items)))
        }
        (Global::RebuildTensor, [Value::Storage(storage), offset, shape, strides, ..]) => {
            let (shape, strides) = (shape.sizes(heap)?, strides.sizes(heap)?);
            if shape.len() != strides.len() {
                return Err("a tensor has not as many strides as dimensions".to_owned());
            }
            let (storage, offset) = (Rc::clone(storage), offset.size()?);
            Ok(Value::Tensor(Rc::new(Tensor { storage, offset, shape, strides })))
        }
        (Global::RebuildParameter, [tensor @ Value::Tensor(_), ..]) => Ok(tensor.clone()),
        _ => {
            Err(format!("the pickle calls {callee:?} with other arguments than torch.save writes"))
        }
    }
}

/// `("storage", type, key, device, elements)`, and in old files a view of it that nobody uses.
fn storage(id: &Value, heap: &Heap) -> Result<Storage, String> {
    let unknown = || "the pickle names a storage otherwise than torch.save does".to_owned();
    let Value::Tuple(id) = id else { return Err(unknown()) };
    match heap.of(*id) {
        [
            Value::Text(kind),
            Value::Global(Global::Storage(element)),
            Value::Text(key),
            _,
            _,
            view @ ..,
        ] if &**kind == "storage" && view.iter().all(|view| matches!(view, Value::None)) => {
            Ok(Storage { element: *element, key: Rc::clone(key) })
        }
        _ => Err(unknown()),
    }
}

//! SentencePiece's model file: Protocol Buffers, of which only the vocabulary and the compiled
//! normalizer are looked at.
//! Source: `sentencepiece_model.proto`; "Protocol Buffers: Encoding".

/// What is in a model.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: Vec<Piece>,
    pub(super) is_unigram: bool,
    pub(super) unk_id: usize,
    /// The normalizer, compiled.
    pub(super) charsmap: Vec<u8>,
}

/// A token.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) text: String,
    /// The logarithm of its probability.
    pub(super) score: f32,
    pub(super) kind: Kind,
}

/// What a token is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Normal,
    Control,
    UserDefined,
    Other,
}

/// A field's value.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Float(f32),
    Skipped,
}

impl Pieces {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        // The defaults of the format.
        let mut found = Self { is_unigram: true, ..Self::default() };
        fields(bytes, |number, field| {
            match (number, field) {
                (1, Field::Bytes(piece)) => found.pieces.push(Piece::read(piece)?),
                (2, Field::Bytes(trainer)) => fields(trainer, |number, field| {
                    match (number, field) {
                        (3, Field::Number(kind)) => found.is_unigram = kind == 1,
                        (40, Field::Number(id)) => {
                            found.unk_id = usize::try_from(id).unwrap_or(usize::MAX)
                        }
                        _ => (),
                    }
                    Ok(())
                })?,
                (3, Field::Bytes(normalizer)) => fields(normalizer, |number, field| {
                    if let (2, Field::Bytes(map)) = (number, field) {
                        found.charsmap = map.to_vec();
                    }
                    Ok(())
                })?,
                _ => (),
            }
            Ok(())
        })?;
        match found.pieces.is_empty() {
            true => Err("it is no SentencePiece model: it has no pieces".to_owned()),
            false => Ok(found),
        }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Piece> {
        self.pieces.iter()
    }
}

impl Piece {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut piece = Self::default();
        fields(bytes, |number, field| {
            match (number, field) {
                (1, Field::Bytes(text)) => {
                    let text =
                        std::str::from_utf8(text).map_err(|_| "a piece is no UTF-8".to_owned())?;
                    text.clone_into(&mut piece.text);
                }
                (2, Field::Float(score)) => piece.score = score,
                (3, Field::Number(kind)) => {
                    piece.kind = match kind {
                        1 => Kind::Normal,
                        3 => Kind::Control,
                        4 => Kind::UserDefined,
                        _ => Kind::Other,
                    }
                }
                _ => (),
            }
            Ok(())
        })?;
        Ok(piece)
    }
}

/// Hands on each field of a message.
fn fields<'a>(
    mut bytes: &'a [u8],
    mut on: impl FnMut(u64, Field<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let broken = || "it is no SentencePiece model: a field does not end".to_owned();
    while !bytes.is_empty() {
        let key = varint(&mut bytes).ok_or_else(broken)?;
        let mut take = |n: u64| {
            let (taken, rest) = bytes.split_at_checked(usize::try_from(n).ok()?)?;
            bytes = rest;
            Some(taken)
        };
        let field = match key & 7 {
            0 => varint(&mut bytes).map(Field::Number),
            1 => take(8).map(|_| Field::Skipped),
            2 => varint(&mut bytes).and_then(|n| {
                let (taken, rest) = bytes.split_at_checked(usize::try_from(n).ok()?)?;
                bytes = rest;
                Some(Field::Bytes(taken))
            }),
            5 => take(4)
                .and_then(|four| Some(Field::Float(f32::from_le_bytes(four.try_into().ok()?)))),
            _ => None,
        };
        on(key >> 3, field.ok_or_else(broken)?)?;
    }
    Ok(())
}

/// Seven bits a byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_read_and_what_is_none_is_refused() {
        let piece = b"\x0a\x02ab\x15\x00\x00\x80\xbf\x18\x03";
        let mut model = vec![0x0a, piece.len() as u8];
        model.extend(piece);
        model.extend(b"\x12\x05\x18\x02\xc0\x02\x07\x1a\x04\x12\x02xy");
        let found = Pieces::read(&model).expect("a model");
        let piece = found.iter().next().expect("a piece");
        assert_eq!((piece.text.as_str(), piece.score, piece.kind), ("ab", -1.0, Kind::Control));
        assert_eq!((found.is_unigram, found.unk_id, &found.charsmap[..]), (false, 7, &b"xy"[..]));
        for end in 0..model.len() {
            // Whatever is cut off, nothing panics.
            let _ = Pieces::read(&model[..end]);
        }
        for junk in [
            &b""[..],
            b"\xff",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"PK\x03\x04",
            b"\x0b",
        ] {
            assert!(Pieces::read(junk).is_err(), "{junk:?}");
        }
    }
}

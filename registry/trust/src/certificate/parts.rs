//! The few parts of a certificate that `webpki` does not tell: names, and what its key is for
//! (RFC 5280, 4.1 and 4.2).

use std::time::Duration;

use pkcs8::der::asn1::{
    AnyRef, BitStringRef, GeneralizedTime, ObjectIdentifier, OctetStringRef, UtcTime,
};
use pkcs8::der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};

use crate::{Error, Result};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");

pub(super) struct Parts<'a> {
    issuer: AnyRef<'a>,
    validity: AnyRef<'a>,
    subject: AnyRef<'a>,
    extensions: Vec<(ObjectIdentifier, &'a [u8])>,
}

/// What the key of a certificate may do.
pub(super) struct Usage {
    pub(super) may_sign: bool,
    pub(super) may_vouch: bool,
}

type Der<T> = std::result::Result<T, pkcs8::der::Error>;

impl<'a> Parts<'a> {
    pub(super) fn of(certificate: &'a [u8]) -> Result<Self> {
        Self::read(certificate).map_err(unread)
    }

    fn read(certificate: &'a [u8]) -> Der<Self> {
        let mut fields = inside(AnyRef::from_der(certificate)?)?;
        let mut fields = inside(AnyRef::decode(&mut fields)?)?;
        // The version stands there where it is not the first.
        if AnyRef::decode(&mut fields)?.tag() != Tag::Integer {
            AnyRef::decode(&mut fields)?;
        }
        let _algorithm = AnyRef::decode(&mut fields)?;
        let issuer = AnyRef::decode(&mut fields)?;
        let validity = AnyRef::decode(&mut fields)?;
        let subject = AnyRef::decode(&mut fields)?;
        let _key = AnyRef::decode(&mut fields)?;
        let mut extensions = Vec::new();
        while !fields.is_finished() {
            let field = AnyRef::decode(&mut fields)?;
            if !is_extensions(field.tag()) {
                continue;
            }
            let mut list = inside(AnyRef::from_der(field.value())?)?;
            while !list.is_finished() {
                let mut extension = inside(AnyRef::decode(&mut list)?)?;
                let name = ObjectIdentifier::decode(&mut extension)?;
                // Whether it is critical stands there where it is.
                let mut value = AnyRef::decode(&mut extension)?;
                if value.tag() == Tag::Boolean {
                    value = AnyRef::decode(&mut extension)?;
                }
                extensions.push((name, value.decode_as::<&OctetStringRef>()?.as_bytes()));
            }
        }
        Ok(Self { issuer, validity, subject, extensions })
    }

    /// Whether it vouches for itself.
    pub(super) fn is_a_root(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether it is valid at a moment, since 1970.
    pub(super) fn is_valid_at(&self, moment: Duration) -> Result<bool> {
        let read = || {
            let mut times = inside(self.validity)?;
            let (from, to) = (AnyRef::decode(&mut times)?, AnyRef::decode(&mut times)?);
            Der::Ok((time(from)?, time(to)?))
        };
        let (from, to) = read().map_err(unread)?;
        Ok((from..=to).contains(&moment))
    }

    pub(super) fn common_name(&self) -> Option<String> {
        let mut names = inside(self.subject).ok()?;
        while !names.is_finished() {
            let set = AnyRef::decode(&mut names).ok()?;
            let mut name = inside(AnyRef::from_der(set.value()).ok()?).ok()?;
            if ObjectIdentifier::decode(&mut name).ok()? == COMMON_NAME {
                let text = AnyRef::decode(&mut name).ok()?;
                return std::str::from_utf8(text.value()).ok().map(str::to_owned);
            }
        }
        None
    }

    /// What its key is for, by its extensions. Whoever says nothing of it at all is not for signing,
    /// as in `model_signing`; what is not for code was refused before.
    pub(super) fn usage(&self) -> Result<Usage> {
        let of = |wanted: ObjectIdentifier| {
            self.extensions.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
        };
        let Some(bits) = of(KEY_USAGE) else {
            return Ok(Usage { may_sign: of(EXTENDED_KEY_USAGE).is_some(), may_vouch: true });
        };
        let bits = BitStringRef::from_der(bits).map_err(unread)?;
        let bits = bits.raw_bytes().first().copied().unwrap_or_default();
        // digitalSignature is the first bit, keyCertSign the sixth.
        Ok(Usage { may_sign: bits & 0x80 != 0, may_vouch: bits & 0x04 != 0 })
    }
}

/// RFC 5280, 4.1.2.5: the one form until 2049, the other one after.
fn time(value: AnyRef<'_>) -> Der<Duration> {
    match value.tag() {
        Tag::UtcTime => Ok(value.decode_as::<UtcTime>()?.to_unix_duration()),
        _ => Ok(value.decode_as::<GeneralizedTime>()?.to_unix_duration()),
    }
}

fn unread(error: pkcs8::der::Error) -> Error {
    Error::Key { what: "certificate", problem: error.to_string() }
}

fn inside(sequence: AnyRef<'_>) -> Der<SliceReader<'_>> {
    sequence.tag().assert_eq(Tag::Sequence)?;
    SliceReader::new(sequence.value())
}

/// `[3]`, where the extensions stand.
fn is_extensions(tag: Tag) -> bool {
    u8::try_from(tag.number().value()) == Ok(3) && tag.class() == pkcs8::der::Class::ContextSpecific
}

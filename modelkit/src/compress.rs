//! A layer's bytes on their way into a blob and out of it again, hashed on both sides of the
//! compression.

use std::io::{self, BufRead, Read, Write};
use std::thread::available_parallelism;

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use registry::content::{Descriptor, Digest, DigestAlgorithm, Hasher};
use registry::{BlobWriter, Blobs};

use crate::archive::Budget;
use crate::error::{Error, Refused, Result, is_cancelled};
use crate::hashing::HashingReader;
use crate::media_type::Compression;

/// A frame may ask its reader for this much memory: 2^27 bytes, which is also what `zstd --long`
/// makes.
const MAX_WINDOW_LOG: u32 = 27;

/// Where a blob's bytes go: into a layout, or, when only their digest is asked for, nowhere.
pub(crate) enum Sink {
    Blob(BlobWriter),
    Nowhere(Hasher, u64),
}

impl Sink {
    fn commit(self) -> Result<(Digest, u64)> {
        match self {
            Self::Blob(blob) => Ok(blob.commit(None)?),
            Self::Nowhere(hasher, size) => Ok((hasher.finish(), size)),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Blob(blob) => Write::write(blob, bytes),
            Self::Nowhere(hasher, size) => {
                hasher.update(bytes);
                *size += bytes.len() as u64;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Blob(blob) => blob.flush(),
            Self::Nowhere(..) => Ok(()),
        }
    }
}

/// A blob that was written.
pub(crate) struct WrittenBlob {
    pub(crate) digest: Digest,
    /// In bytes.
    pub(crate) size: u64,
    /// The digest of what is in it before compression.
    pub(crate) diff_id: Digest,
}

impl WrittenBlob {
    pub(crate) fn uncompressed(digest: Digest, size: u64) -> Self {
        Self { diff_id: digest.clone(), digest, size }
    }
}

/// The uncompressed side of a blob that is being written.
pub(crate) enum Encoder {
    Plain(Sink),
    Gzip(GzEncoder<Sink>, Hasher),
    Zstd(zstd::Encoder<'static, Sink>, Hasher),
}

impl Encoder {
    /// Compresses into a blob. Equal bytes give equal blobs, for any number of cores.
    pub(crate) fn new(sink: Sink, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(sink),
            Compression::Gzip => {
                Self::Gzip(GzEncoder::new(sink, flate2::Compression::default()), Hasher::default())
            }
            Compression::GzipFastest => {
                Self::Gzip(GzEncoder::new(sink, flate2::Compression::fast()), Hasher::default())
            }
            Compression::Zstd => {
                let n_workers = available_parallelism().map_or(1, |n| n.get() as u32);
                Self::Zstd(zstd_encoder(sink, n_workers)?, Hasher::default())
            }
        })
    }

    /// Ends the blob.
    pub(crate) fn commit(self) -> Result<WrittenBlob> {
        let (sink, diff_id) = match self {
            Self::Plain(sink) => (sink, None),
            Self::Gzip(encoder, hasher) => (encoder.finish()?, Some(hasher.finish())),
            Self::Zstd(encoder, hasher) => (encoder.finish()?, Some(hasher.finish())),
        };
        let (digest, size) = sink.commit()?;
        let diff_id = diff_id.unwrap_or_else(|| digest.clone());
        Ok(WrittenBlob { digest, size, diff_id })
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (n_written, hasher) = match self {
            Self::Plain(sink) => return Write::write(sink, bytes),
            Self::Gzip(encoder, hasher) => (encoder.write(bytes)?, hasher),
            Self::Zstd(encoder, hasher) => (encoder.write(bytes)?, hasher),
        };
        hasher.update(&bytes[..n_written]);
        Ok(n_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(sink) => sink.flush(),
            Self::Gzip(encoder, _) => encoder.flush(),
            Self::Zstd(encoder, _) => encoder.flush(),
        }
    }
}

/// Any number of workers but none gives the same frames.
fn zstd_encoder<W: Write>(to: W, n_workers: u32) -> io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(to, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    encoder.multithread(n_workers)?;
    Ok(encoder)
}

/// A blob, and what is known about the bytes in it.
pub(crate) struct Blob<'a> {
    pub(crate) blobs: &'a dyn Blobs,
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) compression: Compression,
    pub(crate) diff_id: Option<&'a Digest>,
    pub(crate) budget: &'a Budget,
}

impl Blob<'_> {
    /// Streams the uncompressed bytes to `consume`, then holds the blob to its size, digest and
    /// diffId.
    pub(crate) fn read<T>(
        &self,
        consume: impl FnOnce(&mut dyn BufRead) -> Result<T, Refused>,
    ) -> Result<T> {
        let source = self.blobs.open(self.descriptor)?;
        let most = self.descriptor.size().saturating_add(1);
        let mut blob = HashingReader::new(source.take(most), self.descriptor.digest().algorithm())?;
        let consumed = self.consume(&mut blob, consume);
        // Whatever a damaged blob led to, that it is damaged is what there is to say.
        let is_over = match &consumed {
            Err(Refused::Limit { .. }) => true,
            Err(Refused::Io(error)) => is_cancelled(error),
            _ => false,
        };
        let verified = if is_over { Ok(()) } else { self.verify(blob) };
        let outcome = verified.and(consumed);
        outcome.map_err(|source| match source {
            Refused::Io(error) if is_cancelled(&error) => Error::Cancelled,
            source => Error::Layer { digest: self.descriptor.digest().clone(), source },
        })
    }

    fn consume<T>(
        &self,
        blob: &mut HashingReader<impl Read>,
        consume: impl FnOnce(&mut dyn BufRead) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        if self.compression == Compression::None {
            self.budget.take_bytes(self.descriptor.size())?;
            return consume(blob);
        }
        let decoder: Box<dyn Read + '_> = match self.compression {
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(blob)?;
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                Box::new(decoder)
            }
            _ => Box::new(MultiGzDecoder::new(blob)),
        };
        let algorithm =
            self.diff_id.map_or(DigestAlgorithm::Sha256, |diff_id| diff_id.algorithm().clone());
        let bytes = Limited { inner: decoder, budget: self.budget };
        let mut bytes = HashingReader::new(bytes, &algorithm).map_err(io::Error::other)?;
        let consumed = consume(&mut bytes).map_err(limit_within)?;
        io::copy(&mut bytes, &mut io::sink()).map_err(Refused::from).map_err(limit_within)?;
        let (found, _) = bytes.finish()?;
        match self.diff_id {
            Some(expected) if *expected != found => Err(wrong_digest("diffId", expected, &found)),
            _ => Ok(consumed),
        }
    }

    fn verify(&self, mut blob: HashingReader<impl Read>) -> Result<(), Refused> {
        io::copy(&mut blob, &mut io::sink())?;
        let (expected, size) = (self.descriptor.digest(), self.descriptor.size());
        let (found, n_bytes) = blob.finish()?;
        if n_bytes != size {
            return Err(Refused::Size { found: n_bytes, expected: size });
        }
        if *expected != found {
            return Err(wrong_digest("digest", expected, &found));
        }
        match self.diff_id {
            Some(diff_id) if self.compression == Compression::None && *diff_id != found => {
                Err(wrong_digest("diffId", diff_id, &found))
            }
            _ => Ok(()),
        }
    }
}

fn wrong_digest(what: &'static str, expected: &Digest, found: &Digest) -> Refused {
    Refused::Digest { what, found: found.to_string(), expected: expected.to_string() }
}

/// Takes a limit out of the IO error in which it came through the readers.
fn limit_within(refused: Refused) -> Refused {
    match refused {
        Refused::Io(error) => match error.downcast::<Refused>() {
            Ok(limit) => limit,
            Err(error) => Refused::Io(error),
        },
        other => other,
    }
}

/// Fails at the first byte beyond a limit.
struct Limited<'a, R> {
    inner: R,
    budget: &'a Budget,
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_read = self.inner.read(buffer)?;
        self.budget.take_bytes(n_read as u64).map_err(io::Error::other)?;
        Ok(n_read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zstd_frames_do_not_depend_on_the_number_of_workers() {
        // More than two of the pieces that workers get at this level, of 8 MiB each.
        let bytes: Vec<u8> = (0..20_000_000u32).map(|i| (i / 1000).wrapping_mul(i) as u8).collect();
        let frames = [1, 2, 5].map(|n_workers| {
            let mut encoder = zstd_encoder(Vec::new(), n_workers).unwrap();
            encoder.write_all(&bytes).unwrap();
            encoder.finish().unwrap()
        });
        assert!(frames[0] == frames[1] && frames[1] == frames[2]);
    }
}

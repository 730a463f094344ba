//! The name that Git has for a file's content: SHA-1 over `blob SIZE`, a zero byte and the content
//! (Git, "Git Objects"). SHA-1 is Git's choice; a hub names small files by nothing else.

/// Hashes content as Git does, in pieces.
#[derive(Clone, Debug)]
pub(super) struct GitBlob(Sha1);

impl GitBlob {
    /// Starts with content of so many bytes.
    pub(super) fn new(size: u64) -> Self {
        let mut sha1 = Sha1::default();
        sha1.update(format!("blob {size}\0").as_bytes());
        Self(sha1)
    }

    /// Adds a piece.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Ends the hash; returns it in hex.
    pub(super) fn finish(self) -> String {
        self.0.finish().iter().map(|word| format!("{word:08x}")).collect()
    }
}

const BLOCK: usize = 64;

/// SHA-1 (FIPS 180-4, section 6.1).
#[derive(Clone, Debug)]
struct Sha1 {
    state: [u32; 5],
    /// The beginning of a block that is not full yet.
    rest: Vec<u8>,
    n_bytes: u64,
}

impl Default for Sha1 {
    fn default() -> Self {
        let state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
        Self { state, rest: Vec::with_capacity(BLOCK), n_bytes: 0 }
    }
}

impl Sha1 {
    fn update(&mut self, mut bytes: &[u8]) {
        self.n_bytes += bytes.len() as u64;
        if !self.rest.is_empty() {
            let (head, tail) = bytes.split_at(bytes.len().min(BLOCK - self.rest.len()));
            self.rest.extend_from_slice(head);
            bytes = tail;
            if self.rest.len() < BLOCK {
                return;
            }
            let rest = std::mem::take(&mut self.rest);
            self.add(&rest);
        }
        let blocks = bytes.chunks_exact(BLOCK);
        self.rest.extend_from_slice(blocks.remainder());
        blocks.for_each(|block| self.add(block));
    }

    fn finish(mut self) -> [u32; 5] {
        let n_bits = self.n_bytes * 8;
        self.update(&[0x80]);
        while self.rest.len() != BLOCK - 8 {
            self.update(&[0]);
        }
        self.update(&n_bits.to_be_bytes());
        self.state
    }

    /// Takes one block in.
    fn add(&mut self, block: &[u8]) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        for t in 16..80 {
            let mixed = words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16];
            words[t] = mixed.rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = self.state;
        for (t, word) in words.into_iter().enumerate() {
            let (f, k) = match t {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next =
                [f, e, k, word].iter().fold(a.rotate_left(5), |sum, it| sum.wrapping_add(*it));
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (state, word) in self.state.iter_mut().zip([a, b, c, d, e]) {
            *state = state.wrapping_add(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &[u8], expected: &str) {
        for piece in [1, 7, 64, 1000] {
            let mut blob = GitBlob::new(content.len() as u64);
            content.chunks(piece).for_each(|piece| blob.update(piece));
            assert_eq!(blob.finish(), expected, "in pieces of {piece}");
        }
    }

    /// What `git hash-object` of Git 2 says.
    #[test]
    fn content_is_named_as_git_does() {
        check(b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        check(b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a");
        check(&b"0123456789".repeat(100), "2587a6f4fca510889366deda011d048d0182c3cb");
        check(&[b'x'; 55], "e329c5109ce10a7367561757d2f5a053c528f11e");
    }
}

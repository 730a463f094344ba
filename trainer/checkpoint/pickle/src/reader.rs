//! The arguments of opcodes, read from the front.

/// What is left of a pickle.
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or("the pickle ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    /// The least significant byte first.
    pub(crate) fn number(&mut self, n_bytes: usize) -> Result<usize, String> {
        let bytes = self.take(n_bytes)?;
        let number = bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        usize::try_from(number).map_err(|_| "a number is too large".to_owned())
    }

    /// So many bytes as the number before them says.
    pub(crate) fn counted(&mut self, n_bytes: usize) -> Result<&'a [u8], String> {
        let n = self.number(n_bytes)?;
        self.take(n)
    }

    pub(crate) fn text(&mut self, n_bytes: usize) -> Result<&'a str, String> {
        std::str::from_utf8(self.counted(n_bytes)?).map_err(|_| "a text is no UTF-8".to_owned())
    }

    /// Up to the end of the line.
    pub(crate) fn line(&mut self) -> Result<&'a str, String> {
        let end =
            self.rest.iter().position(|byte| *byte == b'\n').ok_or("the pickle ends too early")?;
        let line = self.take(end + 1)?;
        std::str::from_utf8(&line[..end]).map_err(|_| "a text is no UTF-8".to_owned())
    }

    /// A whole number in two's complement, the least significant byte first; `None` where it does not
    /// fit.
    pub(crate) fn long(&mut self, n_bytes: usize) -> Result<Option<i64>, String> {
        let bytes = self.take(n_bytes)?;
        if bytes.len() > 8 {
            return Ok(None);
        }
        let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut eight = [if is_negative { 0xff } else { 0 }; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        Ok(Some(i64::from_le_bytes(eight)))
    }
}

//! Message-pack, value by value (the format's specification, revision 5). A header's length is
//! compared with what is left of the message before anything relies on it.

/// How a message breaks the format, or leaves the part of it that packets use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// It announces more than it has.
    #[error("a value ends behind the message")]
    Truncated,
    /// It has more than one value.
    #[error("bytes follow the packet")]
    Trailing,
    /// The byte 0xc1, which begins no value.
    #[error("a reserved marker")]
    ReservedMarker,
    /// An extension that the reference parser does not write.
    #[error("an unknown extension")]
    UnknownExtension,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    InvalidUtf8,
    /// A key of a map that is neither a string nor an integer.
    #[error("a key is neither a string nor an integer")]
    BadKey,
    /// A key of the packet itself that comes twice.
    #[error("a key of the packet is repeated")]
    RepeatedKey,
}

/// A value, or the header of one that holds others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item<'b> {
    Nil,
    Undefined,
    Bool(bool),
    Unsigned(u64),
    /// Always below zero.
    Negative(i64),
    Float(f64),
    /// Not yet known to be UTF-8.
    Text(&'b [u8]),
    Binary(&'b [u8]),
    /// Milliseconds since 1970.
    Date(i64),
    /// So many values follow.
    Array(usize),
    /// So many pairs follow.
    Map(usize),
}

/// The bytes that are still to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(super) const fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn next(&mut self) -> Result<Item<'b>, FormatError> {
        let [marker] = self.take()?;
        Ok(match marker {
            0x00..=0x7f => Item::Unsigned(marker.into()),
            0x80..=0x8f => self.map(usize::from(marker & 0xf))?,
            0x90..=0x9f => self.array(usize::from(marker & 0xf))?,
            0xa0..=0xbf => Item::Text(self.bytes(usize::from(marker & 0x1f))?),
            0xc0 => Item::Nil,
            0xc1 => return Err(FormatError::ReservedMarker),
            0xc2 => Item::Bool(false),
            0xc3 => Item::Bool(true),
            0xc4..=0xc6 => {
                let len = self.length(marker - 0xc4)?;
                Item::Binary(self.bytes(len)?)
            }
            0xc7..=0xc9 => {
                let len = self.length(marker - 0xc7)?;
                self.expect_type_zero()?;
                Item::Binary(self.bytes(len)?)
            }
            0xca => Item::Float(f32::from_be_bytes(self.take()?).into()),
            0xcb => Item::Float(f64::from_be_bytes(self.take()?)),
            0xcc => Item::Unsigned(u8::from_be_bytes(self.take()?).into()),
            0xcd => Item::Unsigned(u16::from_be_bytes(self.take()?).into()),
            0xce => Item::Unsigned(u32::from_be_bytes(self.take()?).into()),
            0xcf => Item::Unsigned(u64::from_be_bytes(self.take()?)),
            0xd0 => signed(i8::from_be_bytes(self.take()?).into()),
            0xd1 => signed(i16::from_be_bytes(self.take()?).into()),
            0xd2 => signed(i32::from_be_bytes(self.take()?).into()),
            0xd3 => signed(i64::from_be_bytes(self.take()?)),
            0xd4 => {
                self.expect_type_zero()?;
                let [_] = self.take()?;
                Item::Undefined
            }
            0xd7 => {
                self.expect_type_zero()?;
                Item::Date(i64::from_be_bytes(self.take()?))
            }
            0xd5 | 0xd6 | 0xd8 => return Err(FormatError::UnknownExtension),
            0xd9..=0xdb => {
                let len = self.length(marker - 0xd9)?;
                Item::Text(self.bytes(len)?)
            }
            0xdc | 0xdd => {
                let len = self.length(marker - 0xdb)?;
                self.array(len)?
            }
            0xde | 0xdf => {
                let len = self.length(marker - 0xdd)?;
                self.map(len)?
            }
            0xe0..=0xff => signed(i8::from_be_bytes([marker]).into()),
        })
    }

    /// Whether the next value is *undefined*.
    pub(super) fn is_undefined_next(&self) -> bool {
        self.rest.starts_with(&[0xd4, 0x00])
    }

    /// The bytes of the next value with all that it holds, without a look at its meaning. It
    /// takes neither stack nor memory: only a count of the values that are still owed.
    pub(super) fn value(&mut self) -> Result<&'b [u8], FormatError> {
        let start = self.rest;
        let mut owed = 1_usize;
        while owed > 0 {
            let held = match self.next()? {
                Item::Array(len) => len,
                Item::Map(len) => 2 * len,
                _ => 0,
            };
            owed = owed - 1 + held;
            // Each takes a byte at least.
            if owed > self.rest.len() {
                return Err(FormatError::Truncated);
            }
        }
        Ok(&start[..start.len() - self.rest.len()])
    }

    fn array(&self, len: usize) -> Result<Item<'b>, FormatError> {
        if len > self.rest.len() {
            return Err(FormatError::Truncated);
        }
        Ok(Item::Array(len))
    }

    fn map(&self, len: usize) -> Result<Item<'b>, FormatError> {
        if len > self.rest.len() / 2 {
            return Err(FormatError::Truncated);
        }
        Ok(Item::Map(len))
    }

    /// A length of one, two or four bytes.
    fn length(&mut self, width: u8) -> Result<usize, FormatError> {
        Ok(match width {
            0 => u8::from_be_bytes(self.take()?).into(),
            1 => u16::from_be_bytes(self.take()?).into(),
            _ => u32::from_be_bytes(self.take()?) as usize,
        })
    }

    fn expect_type_zero(&mut self) -> Result<(), FormatError> {
        match self.take()? {
            [0] => Ok(()),
            [_] => Err(FormatError::UnknownExtension),
        }
    }

    fn bytes(&mut self, len: usize) -> Result<&'b [u8], FormatError> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(FormatError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(FormatError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

/// The UTF-8 of a string.
pub(super) fn text(bytes: &[u8]) -> Result<&str, FormatError> {
    std::str::from_utf8(bytes).map_err(|_| FormatError::InvalidUtf8)
}

const fn signed<'b>(number: i64) -> Item<'b> {
    if number < 0 { Item::Negative(number) } else { Item::Unsigned(number.unsigned_abs()) }
}

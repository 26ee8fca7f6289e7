//! Server-sent events: from bytes, split anywhere, to events. Pure.

/// Bytes of one event; a longer one is no stream of this server.
pub const EVENT_BYTES_MAX: usize = 8 << 20;

/// Item of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A line that begins with a colon: a sign of life.
    Comment,
    /// An event with data.
    Event {
        /// The last `id:` of the stream so far.
        id: Option<String>,
        /// Text of the `data:` lines, joined by line feeds.
        data: String,
    },
}

/// An event is longer than [`EVENT_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Reads `text/event-stream` as the HTML standard says, apart from `event:` and `retry:`, which this API does not use.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_return: bool,
    begun: bool,
    data: Option<String>,
    id: Option<String>,
}

impl Parser {
    /// Takes bytes in; what they complete goes to `out`.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Item>) -> Result<(), TooLong> {
        for byte in bytes {
            let feed_of_pair = std::mem::replace(&mut self.after_return, *byte == b'\r') && *byte == b'\n';
            match byte {
                b'\n' if feed_of_pair => {}
                b'\n' | b'\r' => self.end_line(out),
                _ => self.line.push(*byte),
            }
            if self.line.len() + self.data.as_ref().map_or(0, String::len) > EVENT_BYTES_MAX {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    fn end_line(&mut self, out: &mut Vec<Item>) {
        let bytes = std::mem::take(&mut self.line);
        let mut line = String::from_utf8_lossy(&bytes);
        if !std::mem::replace(&mut self.begun, true)
            && let Some(rest) = line.strip_prefix('\u{feff}')
        {
            line = rest.to_owned().into();
        }
        if line.is_empty() {
            if let Some(data) = self.data.take() {
                out.push(Item::Event { id: self.id.clone(), data });
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => out.push(Item::Comment),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: Option<&str>, data: &str) -> Item {
        Item::Event { id: id.map(str::to_owned), data: data.to_owned() }
    }

    #[test]
    fn a_stream_reads_the_same_wherever_it_is_split_and_however_its_lines_end() {
        let text = "\u{feff}id: a\ndata: {\"x\":1}\n\n: hb\n\ndata:one\ndata: two\r\n\r\nevent: x\nretry: 5\rid:b\rdata: \u{20ac}\r\rdata\n\nid: never\n\ndata: end";
        let expected = [
            event(Some("a"), "{\"x\":1}"),
            Item::Comment,
            event(Some("a"), "one\ntwo"),
            event(Some("b"), "\u{20ac}"),
            event(Some("b"), ""),
        ];
        let bytes = text.as_bytes();
        for step in 1..=bytes.len() {
            let (mut parser, mut items) = (Parser::default(), Vec::new());
            for part in bytes.chunks(step) {
                parser.feed(part, &mut items).unwrap();
            }
            assert_eq!(items, expected, "in steps of {step}");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = Parser::default();
        let line = vec![b'a'; 1 << 20];
        assert!((0..9).any(|_| parser.feed(&line, &mut Vec::new()).is_err()));
    }
}

//! From bytes as they come off the socket to messages. A message that is whole in one frame and in one piece of input,
//! which is nearly every one, is read where it lies; only what is cut is kept, and freed with its last byte.

use std::ops::ControlFlow;

use super::head::{HEAD_BYTES_MAX, Head, Opcode, Rules, mask};
use super::{Inflater, Message, Violation};

/// Function that takes what has been read; `Break` stops the reader for good.
type Handler<'a> = dyn FnMut(Message<'_>) -> ControlFlow<()> + 'a;

/// Reads the frames of one client. Holds no memory of its own except while a frame or a message is incomplete; then at
/// most the message's bound, a control frame and a head.
#[derive(Debug, Default)]
pub struct Reader {
    partial: Option<Box<Partial>>,
    /// A close was read, the client broke the protocol, or the handler wants no more.
    finished: bool,
}

/// Part of a message that is here while the rest is on its way.
#[derive(Debug, Default)]
struct Partial {
    /// The first bytes of a head, until it is whole.
    head: [u8; HEAD_BYTES_MAX],
    head_len: usize,
    /// The frame whose payload is not whole yet, and how much of it is here.
    frame: Option<(Head, usize)>,
    /// Kind of the message whose first frames were read, and whether it is compressed.
    message: Option<(Opcode, bool)>,
    /// The unfinished message, unmasked.
    data: Vec<u8>,
    /// Bytes of `data` that are whole characters, where it is plain text.
    utf8_len: usize,
    /// The payload of an unfinished control frame, unmasked.
    control: Vec<u8>,
}

impl Partial {
    fn is_empty(&self) -> bool {
        self.head_len == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// Kind of the message that the data frame of `head` belongs to, and whether it is compressed.
    fn kind(&self, head: Head) -> (Opcode, bool) {
        self.message.unwrap_or((head.opcode, head.compressed))
    }
}

/// Context of a piece of input while it is read.
struct Context<'a, 'b> {
    message_bytes_max: usize,
    inflater: Option<&'a mut Inflater>,
    on: &'a mut Handler<'b>,
}

impl Reader {
    /// Reads `input`, the next bytes from the client, and calls `on` with each message that is complete, in order.
    ///
    /// The payloads in `input` are unmasked in place; what `on` gets is borrowed. `message_bytes_max` bounds a message
    /// before and after inflation; a bigger one fails at its head, before a byte of it is kept. `inflater` is given
    /// when compression was agreed on; it keeps nothing of this client and may serve others in between.
    ///
    /// After a close, an error, or a `Break` from `on`, whatever comes is thrown away.
    pub fn feed(
        &mut self,
        input: &mut [u8],
        message_bytes_max: usize,
        inflater: Option<&mut Inflater>,
        on: &mut dyn FnMut(Message<'_>) -> ControlFlow<()>,
    ) -> Result<(), Violation> {
        if self.finished {
            return Ok(());
        }
        let read = self.read(input, &mut Context { message_bytes_max, inflater, on });
        self.finished = !matches!(read, Ok(ControlFlow::Continue(())));
        if self.finished || self.partial.as_ref().is_some_and(|partial| partial.is_empty()) {
            self.partial = None;
        }
        read.map(|_| ())
    }

    /// Bytes on the heap that wait for the rest of a message; 0 between messages.
    pub fn kept_bytes(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| size_of::<Partial>() + partial.data.capacity() + partial.control.capacity())
    }

    fn read(&mut self, mut input: &mut [u8], context: &mut Context) -> Result<ControlFlow<()>, Violation> {
        while !input.is_empty() {
            let (rest, flow) = match self.partial.as_mut().and_then(|partial| partial.frame.take()) {
                Some((head, received)) => self.payload(head, received, input, context)?,
                None => match self.head(input, context)? {
                    Some((head, used)) => self.payload(head, 0, &mut input[used..], context)?,
                    None => return Ok(ControlFlow::Continue(())),
                },
            };
            if flow.is_break() {
                return Ok(flow);
            }
            input = rest;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The next head and how many bytes of `input` it took; `None` if all of `input` was taken and it is not whole.
    fn head(&mut self, input: &[u8], context: &Context) -> Result<Option<(Head, usize)>, Violation> {
        let kept = self.partial.as_ref().map_or(0, |partial| partial.data.len());
        let rules = Rules {
            in_message: self.partial.as_ref().is_some_and(|partial| partial.message.is_some()),
            deflate: context.inflater.is_some(),
            room: context.message_bytes_max.saturating_sub(kept),
        };
        let before = self.partial.as_ref().map_or(0, |partial| partial.head_len);
        if before == 0
            && let Some(found) = Head::parse(input, rules)?
        {
            return Ok(Some(found));
        }
        let partial = self.partial.get_or_insert_default();
        let added = input.len().min(HEAD_BYTES_MAX - before);
        partial.head[before..before + added].copy_from_slice(&input[..added]);
        let Some((head, used)) = Head::parse(&partial.head[..before + added], rules)? else {
            partial.head_len = before + added;
            return Ok(None);
        };
        partial.head_len = 0;
        Ok(Some((head, used - before)))
    }

    /// Takes from `input` what belongs to the frame of `head`, of which `received` bytes are kept already. Returns what
    /// follows it.
    fn payload<'i>(
        &mut self,
        head: Head,
        received: usize,
        input: &'i mut [u8],
        context: &mut Context,
    ) -> Result<(&'i mut [u8], ControlFlow<()>), Violation> {
        let here = input.len().min(head.len - received);
        let (payload, rest) = input.split_at_mut(here);
        mask(payload, head.mask, received);
        let whole = received + here == head.len;
        let flow = if received == 0 && whole {
            self.frame(head, payload, context)?
        } else {
            self.keep(head, received + here, payload, context.message_bytes_max)?;
            if whole { self.kept_frame(head, context)? } else { ControlFlow::Continue(()) }
        };
        Ok((rest, flow))
    }

    /// A frame that lies whole in the input.
    fn frame(&mut self, head: Head, payload: &[u8], context: &mut Context) -> Result<ControlFlow<()>, Violation> {
        if head.opcode.is_control() {
            return control(head.opcode, payload, context.on);
        }
        if head.fin && head.opcode != Opcode::Continuation {
            return data(head.opcode, head.compressed, payload, context);
        }
        self.keep(head, head.len, payload, context.message_bytes_max)?;
        self.kept_frame(head, context)
    }

    /// Keeps `payload`, the next bytes of the frame, of which `received` are here with them.
    fn keep(&mut self, head: Head, received: usize, payload: &[u8], bytes_max: usize) -> Result<(), Violation> {
        let partial = self.partial.get_or_insert_default();
        partial.frame = Some((head, received));
        if head.opcode.is_control() {
            partial.control.extend_from_slice(payload);
            return Ok(());
        }
        let (len, capacity) = (partial.data.len(), partial.data.capacity());
        let needed = len + payload.len();
        if needed > capacity {
            // Doubles as a vector does, but not past the bound, which so holds for the memory too.
            partial.data.reserve_exact((capacity * 2).min(bytes_max).max(needed) - len);
        }
        partial.data.extend_from_slice(payload);
        if partial.kind(head) == (Opcode::Text, false) {
            partial.utf8_len += whole_characters(&partial.data[partial.utf8_len..])?;
        }
        Ok(())
    }

    /// The frame that [`Reader::keep`] kept is whole.
    fn kept_frame(&mut self, head: Head, context: &mut Context) -> Result<ControlFlow<()>, Violation> {
        let Some(partial) = &mut self.partial else { return Ok(ControlFlow::Continue(())) };
        partial.frame = None;
        if head.opcode.is_control() {
            return control(head.opcode, &std::mem::take(&mut partial.control), context.on);
        }
        let (opcode, compressed) = partial.kind(head);
        if !head.fin {
            partial.message = Some((opcode, compressed));
            return Ok(ControlFlow::Continue(()));
        }
        (partial.message, partial.utf8_len) = (None, 0);
        data(opcode, compressed, &std::mem::take(&mut partial.data), context)
    }
}

/// A whole message.
fn data(opcode: Opcode, compressed: bool, bytes: &[u8], context: &mut Context) -> Result<ControlFlow<()>, Violation> {
    let bytes = match (compressed, &mut context.inflater) {
        (false, _) => bytes,
        (true, Some(inflater)) => inflater.inflate(bytes, context.message_bytes_max)?,
        (true, None) => return Err(Violation::ReservedBit),
    };
    let message = match opcode {
        Opcode::Text => Message::Text(std::str::from_utf8(bytes).map_err(|_| Violation::BadUtf8)?),
        _ => Message::Binary(bytes),
    };
    Ok((context.on)(message))
}

/// Bytes of `text` that are whole characters. Text that nothing can make right any more fails at once, not first when
/// its last fragment is here; a character may be cut by the end.
fn whole_characters(text: &[u8]) -> Result<usize, Violation> {
    match std::str::from_utf8(text) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(Violation::BadUtf8),
    }
}

/// A whole control frame.
fn control(opcode: Opcode, payload: &[u8], on: &mut Handler) -> Result<ControlFlow<()>, Violation> {
    match opcode {
        Opcode::Ping => Ok(on(Message::Ping(payload))),
        Opcode::Pong => Ok(on(Message::Pong(payload))),
        _ => {
            // Nothing that follows a close counts.
            let _ = on(Message::Close(close_reason(payload)?));
            Ok(ControlFlow::Break(()))
        }
    }
}

/// Code and reason of a close frame.
fn close_reason(payload: &[u8]) -> Result<Option<(u16, &str)>, Violation> {
    match payload {
        [] => Ok(None),
        [_] => Err(Violation::BadCloseCode),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !may_be_sent(code) {
                return Err(Violation::BadCloseCode);
            }
            let reason = std::str::from_utf8(reason).map_err(|_| Violation::BadUtf8)?;
            Ok(Some((code, reason)))
        }
    }
}

/// Whether a close frame may hold `code` (7.4 and the registry of codes): 1004 to 1006 and 1015 never travel, the rest
/// below 3000 has no meaning yet.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

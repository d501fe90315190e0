//! A document of a round, kept small. Rounds of a registry say nearly the same one after another, so
//! a document is kept as what is different in it from another one, wherever that is less than half.
//! Nothing here knows what a document says; every one comes back byte for byte.

use std::sync::{Arc, Weak};

use bytes::{Bytes, BytesMut};

/// Wholes of a registry that a document may be compared with: as many shapes as it may flap between.
const BASES: usize = 4;

/// One document.
#[derive(Debug)]
pub(super) struct Document {
    whole: Arc<Whole>,
    /// What to change in the whole, see [`edits`]; `None` where it is the document itself.
    edits: Option<Bytes>,
}

/// Freed with the last document that needs it, whoever still has a weak reference.
type Whole = Box<[u8]>;

impl Document {
    /// The document as it was.
    pub(super) fn text(&self) -> Vec<u8> {
        match &self.edits {
            None => self.whole.to_vec(),
            Some(edits) => edited(&self.whole, edits),
        }
    }

    /// Moves its own to other blocks.
    pub(super) fn keep_in(&mut self, edits: &mut Edits) {
        if let Some(own) = &mut self.edits {
            *own = edits.keep(own);
        }
    }

    /// The document that it is compared with, or itself.
    #[cfg(test)]
    pub(super) fn whole(&self) -> &[u8] {
        &self.whole
    }

    /// What it takes by itself.
    pub(super) fn own_bytes(&self) -> usize {
        self.edits.as_ref().map_or(0, |edits| edits.len())
    }

    /// What is freed with it beside its own: the whole, where no other document needs it.
    pub(super) fn last_bytes(&self) -> usize {
        match Arc::strong_count(&self.whole) {
            1 => self.whole.len(),
            _ => 0,
        }
    }
}

/// Where edits are written one after the other, in blocks that go with the last document that needs them.
/// Each in a piece of memory of its own would outlast its neighbours, and leave holes.
#[derive(Debug, Default)]
pub(super) struct Edits(BytesMut);

impl Edits {
    const BLOCK: usize = 16 * 1024;

    fn keep(&mut self, edits: &[u8]) -> Bytes {
        if self.0.capacity() < edits.len() {
            self.0 = BytesMut::with_capacity(Self::BLOCK.max(edits.len()));
        }
        self.0.extend_from_slice(edits);
        self.0.split().freeze()
    }
}

/// The latest wholes of one registry.
#[derive(Debug, Default)]
pub(super) struct Bases(Vec<Weak<Whole>>);

impl Bases {
    /// Makes a document of `text`, and keeps what it is other in among `kept`.
    pub(super) fn document(&mut self, text: &[u8], kept: &mut Edits) -> Document {
        self.0.retain(|base| base.strong_count() > 0);
        let wholes = self.0.iter().filter_map(Weak::upgrade);
        let mut shorter =
            wholes.filter_map(|whole| Some((edits(&whole, text, text.len() / 2)?, whole)));
        if let Some((edits, whole)) = shorter.next() {
            return Document {
                whole,
                edits: Some(kept.keep(&edits)),
            };
        }
        let whole = Arc::new(Whole::from(text));
        self.0.truncate(BASES - 1);
        self.0.insert(0, Arc::downgrade(&whole));
        Document { whole, edits: None }
    }
}

/// What turns `base` into `text`, if both have as many pieces and it takes no more than `limit`
/// bytes. For each piece that differs: how many pieces before it do not, how many bytes at its
/// beginning stay, how many come after those, and these.
fn edits(base: &[u8], text: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut edits = Vec::new();
    let mut same = 0;
    let (mut before, mut after) = (pieces(base), pieces(text));
    loop {
        let (old, new) = match (before.next(), after.next()) {
            (Some(old), Some(new)) => (old, new),
            (None, None) => return Some(edits),
            _ => return None,
        };
        if old == new {
            same += 1;
            continue;
        }
        let stays = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        for number in [same, stays, new.len() - stays] {
            put_number(&mut edits, number);
        }
        edits.extend_from_slice(&new[stays..]);
        same = 0;
        if edits.len() > limit {
            return None;
        }
    }
}

fn edited(base: &[u8], mut edits: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(base.len());
    let mut pieces = pieces(base);
    while !edits.is_empty() {
        let [same, stays, length] = [(); 3].map(|()| take_number(&mut edits));
        pieces
            .by_ref()
            .take(same)
            .for_each(|piece| text.extend_from_slice(piece));
        let old = pieces.next().unwrap_or_default();
        text.extend_from_slice(&old[..stays]);
        let (new, rest) = edits.split_at(length);
        text.extend_from_slice(new);
        edits = rest;
    }
    pieces.for_each(|piece| text.extend_from_slice(piece));
    text
}

/// In JSON, most often one value each.
fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b',')
}

/// Seven bits a byte, the low ones first.
fn put_number(to: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn take_number(from: &mut &[u8]) -> usize {
    let mut number = 0;
    for place in (0..).step_by(7) {
        let Some((byte, rest)) = from.split_first() else {
            break;
        };
        *from = rest;
        number |= usize::from(byte & 0x7f) << place;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_comes_back_as_it_was() {
        let (mut bases, mut edits) = (Bases::default(), Edits::default());
        let long = "x".repeat(300);
        let texts = [
            r#"{"at":"12:00:00","took":0.0021,"ok":true}"#,
            r#"{"at":"12:00:15","took":0.003,"ok":true}"#,
            r#"{"at":"12:00:15","took":0.003,"ok":true}"#,
            r#"{"at":"12:00:30","took":0.0021,"ok":false}"#,
            r#"{"at":"12:00:30","took":0.0021,"ok":false,"why":"no, none"}"#,
            "",
            ",,,",
            ",a,b,",
            &long,
            &format!("{long}y,{long}"),
            &format!("{long}z,{long}"),
        ];
        let kept: Vec<_> = texts
            .iter()
            .map(|text| bases.document(text.as_bytes(), &mut edits))
            .collect();
        for (document, text) in kept.iter().zip(texts) {
            assert_eq!(String::from_utf8(document.text()).unwrap(), text);
        }
        let whole = |document: &Document| document.edits.is_none();
        assert!(whole(&kept[0]) && !whole(&kept[1]) && !whole(&kept[3]) && whole(&kept[4]));
        assert_eq!((kept[2].own_bytes(), kept[10].own_bytes()), (12, 6));
    }

    #[test]
    fn a_shape_that_comes_back_finds_its_whole() {
        let (mut bases, mut edits) = (Bases::default(), Edits::default());
        let texts = ["[1,2222222,3]", "[1,2]", "[1,2222224,3]", "[1,4]"];
        let kept = texts.map(|text| bases.document(text.as_bytes(), &mut edits));
        assert_eq!(
            kept.each_ref().map(|document| document.edits.is_some()),
            [false, false, true, false]
        );
        assert_eq!(kept[2].text(), b"[1,2222224,3]");
    }

    #[test]
    fn a_whole_goes_with_its_last_document() {
        let (mut bases, mut edits) = (Bases::default(), Edits::default());
        let first = bases.document(b"[1,2222222,3]", &mut edits);
        let second = bases.document(b"[1,2222224,3]", &mut edits);
        assert_eq!(first.last_bytes(), 0);
        drop(first);
        assert_eq!((second.own_bytes(), second.last_bytes()), (5, 13));
        drop(second);
        assert_eq!(bases.0[0].strong_count(), 0);
        assert!(bases.document(b"[1,2222222,3]", &mut edits).edits.is_none());
    }
}

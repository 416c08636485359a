//! Which server of a cluster keeps a key.

use redis::Value;

/// Keys are spread over this many slots, by the rule of the Redis Cluster specification.
const SLOTS: u16 = 16_384;

/// Returns the slot of a key: of what stands in its first braces, or of all of it.
pub(crate) fn slot(key: &str) -> u16 {
    let braced = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    crc16(braced.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes()) % SLOTS
}

/// Computes the CRC-16 of XMODEM, as the specification asks.
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    })
}

/// Is where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Says which server has which slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Map(Vec<(u16, u16, Address)>);

impl Map {
    /// Gives all slots to one server.
    pub(crate) fn all_at(address: Address) -> Self {
        Self(vec![(0, SLOTS - 1, address)])
    }

    /// Reads the answer to CLUSTER SLOTS; a server that does not know its own name is the one that was `asked`.
    pub(crate) fn read(answer: Value, asked: &Address) -> Option<Self> {
        let Value::Array(ranges) = answer else { return None };
        let ranges: Vec<_> = ranges.iter().map(|range| read_range(range, asked)).collect::<Option<_>>()?;
        (!ranges.is_empty()).then_some(Self(ranges))
    }

    /// Returns the server that has a slot; `None` when nobody has it.
    pub(crate) fn owner(&self, slot: u16) -> Option<&Address> {
        self.0.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(.., owner)| owner)
    }

    pub(crate) fn servers(&self) -> impl Iterator<Item = &Address> {
        self.0.iter().map(|(.., server)| server)
    }
}

/// Reads first slot, last slot, and the server that takes writes; replicas follow.
fn read_range(range: &Value, asked: &Address) -> Option<(u16, u16, Address)> {
    let Value::Array(parts) = range else { return None };
    let [first, last, Value::Array(server), ..] = &parts[..] else { return None };
    let host = match server.first()? {
        Value::BulkString(host) if !host.is_empty() && host != b"?" => String::from_utf8(host.clone()).ok()?,
        _ => asked.host.clone(),
    };
    let number = |value: &Value| if let Value::Int(number) = value { u16::try_from(*number).ok() } else { None };
    Some((number(first)?, number(last)?, Address { host, port: number(server.get(1)?)? }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot("123456789"), 0x31c3);
        assert_eq!(slot("{user1000}.following"), slot("{user1000}.followers"));
        assert_eq!(slot("foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot("foo{{bar}}zap"), slot("{bar"));
    }

    #[test]
    fn a_map_names_the_owner_of_a_slot() {
        let host = |host: &str, port| Value::Array(vec![Value::BulkString(host.into()), Value::Int(port)]);
        let range = |first, last, server| Value::Array(vec![Value::Int(first), Value::Int(last), server]);
        let asked = Address { host: "seed".into(), port: 1 };
        let map = Map::read(Value::Array(vec![range(0, 9, host("a", 7)), range(10, 19, host("", 8))]), &asked).unwrap();
        assert_eq!(map.owner(9).unwrap(), &Address { host: "a".into(), port: 7 });
        assert_eq!(map.owner(10).unwrap(), &Address { host: "seed".into(), port: 8 });
        assert_eq!(map.owner(20), None);
        assert_eq!(Map::read(Value::Array(Vec::new()), &asked), None);
    }
}

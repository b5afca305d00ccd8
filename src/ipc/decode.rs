//! An answer as it came over the socket. Pure.

use serde::Deserialize;

use super::message::{LvsStatus, Reply, Status};

/// How the one answer begins that may have megabytes. serde keeps the whole of a tagged value in an intermediate form, twice here,
/// before it knows what it is.
const LARGE: &[u8] = br#"{"reply":"status","status":{"role":"lvs","#;

#[derive(Deserialize)]
struct Large {
    status: LvsStatus,
}

/// Reads an answer.
///
/// # Errors
/// It is none.
pub fn reply(line: &[u8]) -> serde_json::Result<Reply> {
    if line.starts_with(LARGE) {
        let Large { status } = serde_json::from_slice(line)?;
        return Ok(Reply::Status { status: Box::new(Status::Lvs(status)) });
    }
    serde_json::from_slice(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_leads_to_the_same() {
        let text = include_str!("../../tests/outside/status.json").replace("\"@CONNECTIONS@\"", "7");
        let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
        for role in ["lvs", "vrrp", "net"] {
            let status: Status = serde_json::from_value(whole[role].clone()).unwrap();
            let line = serde_json::to_vec(&Reply::Status { status: Box::new(status) }).unwrap();
            assert_eq!(line.starts_with(LARGE), role == "lvs", "{role}");
            let read = reply(&line).unwrap();
            assert_eq!(read, serde_json::from_slice::<Reply>(&line).unwrap(), "{role}");
            assert!(reply(&line[..line.len() - 2]).is_err());
        }
        assert_eq!(reply(br#"{"reply":"ok"}"#).unwrap(), Reply::Ok);
    }
}

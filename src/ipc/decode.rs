//! An answer as it came over the socket. Pure.

use super::message::{Reply, Status};
use super::report::Report;

/// Reads an answer.
///
/// # Errors
/// It is none.
pub fn reply(line: Vec<u8>) -> serde_json::Result<Reply> {
    // serde keeps the whole of a tagged value in an intermediate form, twice here, before it knows what it is.
    match Report::take(line) {
        Ok(report) => Ok(Reply::Status { status: Box::new(Status::Lvs(report.status()?)) }),
        Err(line) => serde_json::from_slice(&line),
    }
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
            let line = serde_json::to_string(&Reply::Status { status: Box::new(status) }).unwrap() + "\n";
            assert_eq!(Report::take(line.clone().into_bytes()).is_ok(), role == "lvs", "{role}");
            let read = reply(line.clone().into_bytes()).unwrap();
            assert_eq!(read, serde_json::from_str::<Reply>(&line).unwrap(), "{role}");
            assert!(reply(line.as_bytes()[..line.len() - 3].to_vec()).is_err());
        }
        assert_eq!(reply(br#"{"reply":"ok"}"#.to_vec()).unwrap(), Reply::Ok);
    }
}

//! One question to one server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use sntpc::{KissOfDeathCode, NtpContext, NtpResult, NtpTimestampGenerator, NtpUdpSocket};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::choose::Sample;

/// Port of NTP.
const PORT: u16 = 123;
/// Time for an answer: one that takes longer says little about the time.
const PATIENCE: Duration = Duration::from_secs(2);
/// Greatest distance of an answer that is of use, microseconds (RFC 5905 section 7.2, MAXDIST).
const MAX_DISTANCE_US: u64 = 1_500_000;
/// Least distance of an answer, microseconds: what a busy box takes to notice it.
const FLOOR_US: u64 = 1000;

const TOO_FAR: &str = "it is too far from the right time itself";

/// Why there is no sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// In words.
    Trouble(String),
    /// Kiss-o'-death DENY or RSTR: the server is not to be asked again (RFC 5905 section 7.4).
    Banned(String),
    /// Kiss-o'-death RATE: it is to be asked less often.
    Slower,
}

/// Asks `server`.
///
/// # Errors
/// It does not answer, does not know the time itself, or says what a server does not say.
pub async fn ask(server: IpAddr) -> Result<Sample, Failure> {
    let trouble = |error: std::io::Error| Failure::Trouble(error.to_string().to_lowercase());
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await.map_err(trouble)?;
    let address = SocketAddr::new(server, PORT);
    // Only what comes from there is heard, and that nobody listens there, too.
    socket.connect(address).await.map_err(trouble)?;
    let wire = Wire { socket, server: address };
    let answer = sntpc::get_time(address, &wire, NtpContext::new(Clock::default()));
    match timeout(PATIENCE, answer).await {
        Err(_) => Err(Failure::Trouble(format!("no answer within {} s", PATIENCE.as_secs()))),
        Ok(Err(error)) => Err(explain(error)),
        Ok(Ok(answer)) => sample(server, &answer),
    }
}

fn sample(server: IpAddr, answer: &NtpResult) -> Result<Sample, Failure> {
    let root_us = short_us(answer.root_delay) / 2 + short_us(answer.root_dispersion);
    let distance_us = FLOOR_US + answer.roundtrip / 2 + root_us;
    if distance_us > MAX_DISTANCE_US {
        return Err(Failure::Trouble(TOO_FAR.to_owned()));
    }
    let (stratum, offset_us, delay_us) = (answer.stratum, answer.offset, answer.roundtrip);
    Ok(Sample { server, stratum, offset_us, delay_us, distance_us })
}

/// NTP short format (RFC 5905 section 6) in microseconds.
fn short_us(value: u32) -> u64 {
    (u64::from(value) * 1_000_000) >> 16
}

fn explain(error: sntpc::Error) -> Failure {
    use sntpc::Error;
    let words = match error {
        Error::KissOfDeath(KissOfDeathCode::Rate) => return Failure::Slower,
        Error::KissOfDeath(code @ (KissOfDeathCode::Deny | KissOfDeathCode::Rstr)) => {
            return Failure::Banned(format!("it does not want to be asked ({})", code.as_str()));
        }
        Error::KissOfDeath(code) => return Failure::Trouble(format!("kiss-o'-death {}", code.as_str())),
        Error::UnsynchronizedClock | Error::IncorrectStratumHeaders => "it does not know the time itself",
        Error::ExcessiveRootDistance => TOO_FAR,
        Error::IncorrectOriginTimestamp => "its answer is not to our question",
        Error::Network => "no answer: connection refused or no way to it",
        _ => "its answer is none of a time server",
    };
    Failure::Trouble(words.to_owned())
}

struct Wire {
    socket: UdpSocket,
    server: SocketAddr,
}

impl NtpUdpSocket for Wire {
    async fn send_to(&self, buf: &[u8], _: SocketAddr) -> sntpc::Result<usize> {
        self.socket.send(buf).await.map_err(|_| sntpc::Error::Network)
    }

    async fn recv_from(&self, buf: &mut [u8]) -> sntpc::Result<(usize, SocketAddr)> {
        let read = self.socket.recv(buf).await.map_err(|_| sntpc::Error::Network)?;
        Ok((read, self.server))
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Clock(Duration);

impl NtpTimestampGenerator for Clock {
    fn init(&mut self) {
        self.0 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    }

    fn timestamp_sec(&self) -> u64 {
        self.0.as_secs()
    }

    fn timestamp_subsec_micros(&self) -> u32 {
        self.0.subsec_micros()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(roundtrip: u64, root_delay: u32, root_dispersion: u32) -> Result<Sample, Failure> {
        let result =
            NtpResult::new(0, 0, roundtrip, -70, 2, -20, 0, root_delay, root_dispersion, [0; 4], 0, 0, 0);
        sample(IpAddr::from([192, 0, 2, 1]), &result)
    }

    #[test]
    fn the_distance_is_half_of_the_way_and_what_the_servers_allow_for() {
        let near = answer(3000, 0x8000, 0x4000).unwrap();
        assert_eq!(
            (near.offset_us, near.delay_us, near.distance_us),
            (-70, 3000, 1000 + 1500 + 250_000 + 250_000)
        );
        assert_eq!(answer(3000, 0, 0x1_8000), Err(Failure::Trouble(TOO_FAR.to_owned())));
    }

    #[test]
    fn a_kiss_of_death_is_heeded() {
        let kiss = |code| explain(sntpc::Error::KissOfDeath(code));
        assert_eq!(kiss(KissOfDeathCode::Rate), Failure::Slower);
        for (code, word) in [(KissOfDeathCode::Deny, "DENY"), (KissOfDeathCode::Rstr, "RSTR")] {
            assert_eq!(kiss(code), Failure::Banned(format!("it does not want to be asked ({word})")));
        }
        assert_eq!(kiss(KissOfDeathCode::Init), Failure::Trouble("kiss-o'-death INIT".to_owned()));
    }
}

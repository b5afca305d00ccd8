//! A client's life on a clock of its own.

use super::*;
use crate::net::dhcp::message::tests::answer;

const MAC: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
const MINE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn says(kind: u8, client: &Client) -> Event {
    let options: [(u8, &[u8]); 4] =
        [(1, &[255, 255, 255, 0]), (3, &[10, 0, 0, 1]), (51, &[0, 0, 3, 232]), (54, &[10, 0, 0, 1])];
    Event::Received(Incoming::decode(&answer(kind, client.xid, MAC, MINE, &options)).unwrap())
}

/// A client bound at 10 s for 1000 s.
fn bound() -> Client {
    let mut client = Client::new(s(9), MAC, None, 7, None);
    client.step(s(9), Event::Carrier(true));
    let offer = says(2, &client);
    client.step(s(10), offer);
    let ack = says(5, &client);
    assert!(matches!(client.step(s(10), ack)[..], [Action::Gained(_)]));
    client
}

fn said(actions: &[Action]) -> String {
    let words: Vec<String> = actions
        .iter()
        .map(|action| match action {
            Action::Broadcast(m) => {
                format!("broadcast {:?} {:?} {:?} {}", m.kind, m.requested, m.server, m.using)
            }
            Action::Unicast(to, m) => format!("unicast {to} {:?} {}", m.kind, m.using),
            Action::Gained(lease) => format!("gained {}", lease.address),
            Action::Lost(why) => format!("lost: {why}"),
        })
        .collect();
    words.join("; ")
}

fn timer(client: &mut Client) -> (Duration, String) {
    let now = client.deadline().unwrap();
    (now, said(&client.step(now, Event::Timer)))
}

#[test]
fn asks_at_once_and_repeats_with_growing_pauses() {
    let mut client = Client::new(s(1), MAC, None, 42, None);
    assert_eq!(client.deadline(), None, "no carrier, no question");
    assert_eq!(said(&client.step(s(1), Event::Carrier(true))), "broadcast Discover None None 0.0.0.0");
    let mut last = s(1);
    for expected in [1, 2, 4, 8, 16, 32, 64, 64] {
        let (now, words) = timer(&mut client);
        let pause = (now - last).as_secs_f64();
        assert!((0.89..=1.11).contains(&(pause / f64::from(expected))), "{pause} for {expected}");
        assert_eq!(words, "broadcast Discover None None 0.0.0.0");
        last = now;
    }
    assert_eq!(said(&client.step(last, Event::Carrier(false))), "");
    assert_eq!(client.deadline(), None);
}

#[test]
fn an_offer_is_requested_and_bound() {
    let mut client = Client::new(s(9), MAC, None, 7, None);
    client.step(s(9), Event::Carrier(true));
    let offer = says(2, &client);
    assert_eq!(said(&client.step(s(10), offer)), "broadcast Request Some(10.0.0.9) Some(10.0.0.1) 0.0.0.0");
    let ack = says(5, &client);
    assert_eq!(said(&client.step(s(11), ack)), "gained 10.0.0.9/24");
    let lease = client.lease().unwrap();
    assert_eq!((lease.renew_at, lease.rebind_at, lease.expires_at), (s(510), s(885), s(1010)));
    assert!(!client.listening());
}

#[test]
fn messages_of_others_change_nothing() {
    let mut client = Client::new(s(9), MAC, None, 7, None);
    client.step(s(9), Event::Carrier(true));
    let Event::Received(mut offer) = says(2, &client) else { unreachable!() };
    offer.xid ^= 1;
    assert!(client.step(s(9), Event::Received(offer.clone())).is_empty());
    offer.xid ^= 1;
    offer.lease = None;
    assert!(client.step(s(9), Event::Received(offer)).is_empty(), "BOOTP");
    let ack = says(5, &client);
    assert!(client.step(s(9), ack).is_empty(), "nothing was requested");
}

#[test]
fn a_lease_is_renewed_then_rebound_then_lost() {
    let mut client = bound();
    assert_eq!(timer(&mut client), (s(510), "unicast 10.0.0.1 Request 10.0.0.9".to_owned()));
    let renewals =
        std::iter::from_fn(|| Some(timer(&mut client))).find(|(_, words)| words.starts_with("broad"));
    assert_eq!(renewals, Some((s(885), "broadcast Request None None 10.0.0.9".to_owned())));
    let end = std::iter::from_fn(|| Some(timer(&mut client))).find(|(_, words)| words.starts_with("lost"));
    let (now, words) = end.unwrap();
    assert_eq!(
        (now, words.as_str()),
        (s(1010), "lost: it has expired; broadcast Discover None None 0.0.0.0")
    );
}

#[test]
fn an_ack_extends_the_lease() {
    let mut client = bound();
    timer(&mut client);
    let ack = says(5, &client);
    assert_eq!(said(&client.step(s(511), ack)), "gained 10.0.0.9/24");
    assert_eq!(client.lease().unwrap().expires_at, s(1510));
}

#[test]
fn a_nak_ends_the_lease_and_is_followed_by_a_pause() {
    let mut client = bound();
    timer(&mut client);
    let nak = says(6, &client);
    assert_eq!(said(&client.step(s(511), nak)), "lost: the server refuses it");
    assert_eq!(timer(&mut client), (s(512), "broadcast Discover None None 0.0.0.0".to_owned()));
}

#[test]
fn a_remembered_lease_is_taken_up_in_silence() {
    let lease = bound().lease().cloned();
    let mut client = Client::new(s(100), MAC, None, 8, lease.clone());
    assert!(client.step(s(100), Event::Carrier(true)).is_empty());
    assert_eq!(client.deadline(), Some(s(510)));
    assert!(Client::new(s(1010), MAC, None, 8, lease).lease().is_none(), "expired");
}

#[test]
fn a_cable_put_back_has_the_lease_confirmed() {
    let mut client = bound();
    assert!(client.step(s(20), Event::Carrier(false)).is_empty());
    assert_eq!(
        said(&client.step(s(30), Event::Carrier(true))),
        "broadcast Request Some(10.0.0.9) None 0.0.0.0"
    );
    assert!(client.lease().is_some(), "it stays meanwhile");
    let mut silent = client.clone();
    for _ in 0..PATIENCE {
        timer(&mut silent);
    }
    assert_eq!(silent.deadline(), Some(s(510)), "nobody answers: it stays until it ends");
    let nak = says(6, &client);
    assert_eq!(said(&client.step(s(31), nak)), "lost: the server refuses it");
}

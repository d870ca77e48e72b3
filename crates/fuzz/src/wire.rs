//! The hint and preimage protocols: both sides against noise, against damage, and against each
//! other.

use tribunal_conformance::Random;
use tribunal_preimage::client::{HintWriter, OracleReader};
use tribunal_preimage::server::{HintReader, OracleServer, ServeError, Turn};
use tribunal_preimage::{Channel, ChannelError, Key};

use crate::mutate::{mutate, noise};
use crate::{Verdict, ensure};

/// More than any input here has: a longer field can only be a lie.
const LIMIT: u32 = 4096;

pub(crate) fn check(random: &mut Random) -> Result<Verdict, String> {
    match random.below(5) {
        0 => hint_reader(random),
        1 => oracle_server(random),
        2 => oracle_reader(random),
        3 => hint_writer(random),
        _ => both_sides(random),
    }
}

/// What a program sends to a host that reads hints.
fn hint_reader(random: &mut Random) -> Result<Verdict, String> {
    let mut sent = Vec::new();
    for _ in 0..random.below(5) {
        let hint = noise(random, 300);
        sent.extend((hint.len() as u32).to_be_bytes());
        sent.extend(hint);
    }
    if random.once_in(2) {
        mutate(&mut sent, 8, random);
    }
    let mut script = Script::new(&sent, random);
    let mut read = Vec::new();
    let mut reader = HintReader::new(&mut script).with_limit(LIMIT);
    let mut turns = 0;
    let end = loop {
        let fails = random.once_in(8);
        let turn = reader.next(|hint| {
            read.extend((hint.len() as u32).to_be_bytes());
            read.extend(hint);
            turns += 1;
            if fails { Err("the handler fails") } else { Ok(()) }
        });
        match turn {
            Ok(Turn::Served) | Err(ServeError::Handler(_)) => {}
            Ok(Turn::Ended) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    ensure(sent.starts_with(&read), || "the hints read are not those sent".into())?;
    ensure(script.written.iter().all(|&ack| ack == 0), || {
        "an acknowledgement that is not 0".into()
    })?;
    match end {
        Ok(()) => {
            ensure(read == sent, || "hints are missing".into())?;
            ensure(script.written.len() == turns, || "a hint without acknowledgement".into())?;
            Ok(Verdict::Taken)
        }
        Err(error) => {
            ensure(!error.to_string().is_empty(), || "an error without words".into())?;
            ensure(script.written.len() <= turns, || "too many acknowledgements".into())?;
            Ok(Verdict::Refused)
        }
    }
}

/// What a program sends to a host that knows preimages.
fn oracle_server(random: &mut Random) -> Result<Verdict, String> {
    let length = random.index(160);
    let sent = random.bytes(length);
    let mut script = Script::new(&sent, random);
    let mut server = OracleServer::new(&mut script);
    let (mut keys, mut answers) = (Vec::new(), Vec::new());
    let end = loop {
        let data = (!random.once_in(8)).then(|| noise(random, 300));
        let turn = server.next(|key: Key| {
            keys.extend(key.as_bytes());
            let data: Vec<u8> = data.ok_or("there is none")?;
            answers.extend((data.len() as u64).to_be_bytes());
            answers.extend(&data);
            Ok::<_, &str>(data)
        });
        match turn {
            Ok(Turn::Served) | Err(ServeError::Handler(_)) => {}
            Ok(Turn::Ended) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    ensure(sent.starts_with(&keys), || "the keys read are not those sent".into())?;
    ensure(answers.starts_with(&script.written), || "other answers were sent".into())?;
    match end {
        Ok(()) => {
            ensure(keys == sent && answers == script.written, || "an answer is missing".into())?;
            Ok(Verdict::Taken)
        }
        Err(error) => {
            ensure(!error.to_string().is_empty(), || "an error without words".into())?;
            Ok(Verdict::Refused)
        }
    }
}

/// What a host sends to a program that asks for a preimage.
fn oracle_reader(random: &mut Random) -> Result<Verdict, String> {
    let data = noise(random, 300);
    let mut sent = [&(data.len() as u64).to_be_bytes(), data.as_slice()].concat();
    if random.once_in(2) {
        mutate(&mut sent, 8, random);
    }
    // What comes next belongs to the next answer.
    sent.extend(noise(random, 20));
    let announced = sent.first_chunk().map(|length| u64::from_be_bytes(*length));
    let honest = announced.filter(|&announced| announced <= u64::from(LIMIT));
    let honest = honest.and_then(|announced| sent[8..].get(..announced as usize));

    let mut script = Script::new(&sent, random);
    script.takes = usize::MAX;
    let mut reader = OracleReader::new(&mut script).with_limit(u64::from(LIMIT));
    let result = reader.read(Key::local(7));
    let consumed = script.read;
    match (result, honest) {
        (Ok(data), Some(honest)) => {
            ensure(data == honest, || "another preimage than what was sent".into())?;
            ensure(consumed == 8 + data.len(), || "more was read than the answer".into())?;
            Ok(Verdict::Taken)
        }
        (Err(error), None) => {
            ensure(!error.to_string().is_empty(), || "an error without words".into())?;
            Ok(Verdict::Refused)
        }
        (Err(ChannelError::Failed(_)), Some(_)) if script.breaks.is_some() => Ok(Verdict::Refused),
        (result, honest) => Err(format!("{result:?}, but {honest:?} was sent")),
    }
}

/// What a host sends to a program that gives hints.
fn hint_writer(random: &mut Random) -> Result<Verdict, String> {
    let hint = noise(random, 300);
    let length = random.index(3);
    let acknowledgements = random.bytes(length);
    let mut script = Script::new(&acknowledgements, random);
    let result = HintWriter::new(&mut script).write(&hint);
    let message = [&(hint.len() as u32).to_be_bytes(), hint.as_slice()].concat();
    ensure(message.starts_with(&script.written), || "another hint was sent".into())?;
    match result {
        Ok(()) => {
            ensure(script.written == message, || "the hint was not sent".into())?;
            ensure(script.read == 1, || "not one acknowledgement was read".into())?;
            Ok(Verdict::Taken)
        }
        Err(error) => {
            ensure(!error.to_string().is_empty(), || "an error without words".into())?;
            let gone = script.written.len() < message.len() || acknowledgements.is_empty();
            ensure(gone || script.breaks.is_some(), || format!("{error}, without reason"))?;
            Ok(Verdict::Refused)
        }
    }
}

/// A request of one side goes to the other and back.
fn both_sides(random: &mut Random) -> Result<Verdict, String> {
    let data = noise(random, 300);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(&random.bytes(32));
    let key = Key::from_bytes(bytes);
    let mut to_host = Script::whole(key.as_bytes(), random);
    let served = OracleServer::new(&mut to_host).next(|asked| match asked == key {
        true => Ok(data.clone()),
        false => Err("another key"),
    });
    ensure(served == Ok(Turn::Served), || format!("{served:?}"))?;
    let answer = std::mem::take(&mut to_host.written);
    let mut to_program = Script::whole(&answer, random);
    let read = OracleReader::new(&mut to_program).read(key);
    ensure(read.as_ref() == Ok(&data), || format!("{read:?} instead of {data:?}"))?;
    ensure(to_program.written == *key.as_bytes(), || "another key was asked for".into())?;
    Ok(Verdict::Taken)
}

/// A channel whose other side has already said all it will, and moves any number of bytes at once.
struct Script {
    incoming: Vec<u8>,
    read: usize,
    written: Vec<u8>,
    /// Bytes the other side takes before it goes away.
    takes: usize,
    /// Calls until the channel breaks.
    breaks: Option<u64>,
    random: Random,
}

impl Script {
    fn whole(incoming: &[u8], random: &mut Random) -> Self {
        Self {
            incoming: incoming.to_vec(),
            read: 0,
            written: Vec::new(),
            takes: usize::MAX,
            breaks: None,
            random: Random::new(random.number()),
        }
    }

    fn new(incoming: &[u8], random: &mut Random) -> Self {
        let takes = if random.once_in(4) { random.index(300) } else { usize::MAX };
        let breaks = random.once_in(8).then(|| random.below(20));
        Self { takes, breaks, ..Self::whole(incoming, random) }
    }

    fn piece(&mut self, most: usize) -> Result<usize, ChannelError> {
        match &mut self.breaks {
            Some(0) => return Err(ChannelError::Failed("the channel broke".into())),
            Some(calls) => *calls -= 1,
            None => {}
        }
        Ok(if most == 0 { 0 } else { 1 + self.random.index(most) })
    }
}

impl Channel for Script {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ChannelError> {
        let length = self.piece(buffer.len().min(self.incoming.len() - self.read))?;
        buffer[..length].copy_from_slice(&self.incoming[self.read..][..length]);
        self.read += length;
        Ok(length)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ChannelError> {
        let length = self.piece(bytes.len().min(self.takes.saturating_sub(self.written.len())))?;
        self.written.extend(&bytes[..length]);
        Ok(length)
    }
}

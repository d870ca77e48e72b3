//! A program in a child process, served from this one.
//!
//! The other way round than [`child`](crate::child): there the host is the child. The program finds
//! its descriptors as in a machine: hints go out on 4 and are acknowledged on 3, keys go out on 6 and
//! preimages come in on 5.

use std::io::pipe;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus};

use command_fds::{CommandFdExt as _, FdMapping};

use crate::local::LocalHost;
use crate::serve::{ServeFailure, ServerPipes, serve};
use crate::store::PreimageStore;

/// Runs a program and answers it until it ends. Returns how it ended.
///
/// # Errors
/// If it cannot be started; or what ended serving early: the program is ended then.
pub fn serve_program<S: PreimageStore>(
    host: &LocalHost<S>,
    mut command: Command,
) -> Result<ExitStatus, ServeFailure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |source| ServeFailure::Program { name: name.clone(), source };
    let (hint_reader, hint_writer) = pipe().map_err(failed)?;
    let (ack_reader, ack_writer) = pipe().map_err(failed)?;
    let (key_reader, key_writer) = pipe().map_err(failed)?;
    let (data_reader, data_writer) = pipe().map_err(failed)?;
    let ends: [(OwnedFd, i32); 4] = [
        (ack_reader.into(), 3),
        (hint_writer.into(), 4),
        (data_reader.into(), 5),
        (key_writer.into(), 6),
    ];
    let mappings = ends.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
    command.fd_mappings(mappings.into()).map_err(|error| failed(std::io::Error::other(error)))?;
    let mut child = command.spawn().map_err(failed)?;
    // Our copies of the program's ends: while they are open, its end goes unnoticed.
    drop(command);
    let hints = (hint_reader.into(), ack_writer.into());
    let preimages = (key_reader.into(), data_writer.into());
    let served =
        ServerPipes::new(hints, preimages).map_err(failed).and_then(|pipes| serve(host, pipes));
    if served.is_err() {
        // It may be gone already.
        let _ = child.kill();
    }
    let status = child.wait().map_err(failed)?;
    served.map(|()| status)
}

"""Carrying out the acts about who the client is, protection, data connections and the end."""

from __future__ import annotations

from portside.accounts.doorkeeper import LoginRefused
from portside.address import InternetAddress
from portside.errors import LocalError
from portside.protocols.ftp import acts
from portside.protocols.ftp.data import Active, Passive
from portside.protocols.ftp.passive import listen
from portside.protocols.ftp.ports import build_epsv_reply, build_pasv_reply
from portside.protocols.ftp.replies import Reply
from portside.protocols.ftp.verbs_access import is_anonymous
from portside.protocols.ftp.visit import Visit, carries_out
from portside.storage.contract import StorageError

# ── who ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@carries_out(acts.LogIn)
async def _log_in(visit: Visit, act: acts.LogIn) -> Reply | None:
    server, session = visit.server, visit.session
    await visit.let_go_of_account()
    try:
        if is_anonymous(session):
            account = server.anonymous()
        else:
            account = await server.doorkeeper.admit(visit.network, session.peer_host, act.user, act.password)
    except LoginRefused as refusal:
        session.logged_out()
        server.tell_login(visit.control, act.user, str(refusal))
        if refusal.is_banned:
            visit.is_leaving = True
            return Reply(421, ("Too many failed logins from your address; try again later.",))
        return Reply(530, ("That is not right.",))
    if not server.doorkeeper.hold(account):
        session.logged_out()
        server.tell_login(visit.control, act.user, "too many sessions")
        return Reply(530, ("This user has too many sessions.",))
    visit.account_held = account
    try:
        if account.root.strip("/"):
            visit.storage = await visit.run_blocking(server.storage.under, f"/{account.root.strip('/')}")
    except StorageError as error:
        session.logged_out()
        await visit.let_go_of_account()
        server.tell_login(visit.control, act.user, f"the user's root: {error}")
        return Reply(530, ("This user's files cannot be reached.",))
    session.logged_in(account)
    server.tell_login(visit.control, act.user, None)
    return Reply(230, ("Welcome.",))


@carries_out(acts.LogOut)
async def _log_out(visit: Visit, act: acts.LogOut) -> Reply | None:
    await visit.prepare(None)
    await visit.let_go_of_account()
    visit.session.logged_out()
    return Reply(220, ("Ready for a new user.",))


@carries_out(acts.Quit)
async def _quit(visit: Visit, act: acts.Quit) -> Reply | None:
    await visit.wait_for_transfer()
    visit.is_leaving = True
    return Reply(221, ("Goodbye.",))


# ── protection ───────────────────────────────────────────────────────────────────────────────────────────────────────


@carries_out(acts.StartTls)
async def _start_tls(visit: Visit, act: acts.StartTls) -> Reply | None:
    context = visit.server.tls_context()
    await visit.say(Reply(234, ("Begin TLS now.",)))
    # Commands that came in plain text behind AUTH are refused here: they would be taken for protected ones.
    await visit.control.start_tls(context)
    visit.tls_context = context
    tls = visit.control.tls
    await visit.prepare(None)  # it was asked for in the clear, by whoever was on the way
    await visit.let_go_of_account()
    visit.session.tls_started(tls.server_name if tls is not None else None)
    return None


@carries_out(acts.StopTls)
async def _stop_tls(visit: Visit, act: acts.StopTls) -> Reply | None:
    await visit.say(Reply(200, ("In the clear from here on.",)))
    await visit.control.stop_tls()
    visit.session.tls_stopped()
    return None


# ── data connections ─────────────────────────────────────────────────────────────────────────────────────────────────


@carries_out(acts.Listen)
async def _listen(visit: Visit, act: acts.Listen) -> Reply | None:
    local, peer = visit.control.local, visit.control.peer
    assert isinstance(local, InternetAddress)
    assert isinstance(peer, InternetAddress)
    try:
        listener = await listen(visit.network, local.host, visit.server.passive_ports)
    except LocalError as error:
        await visit.prepare(None)
        return Reply(425, (f"Cannot listen: {error}.",))
    way = Passive(visit.network, listener, peer.host)
    await visit.prepare(way)
    if act.extended:
        return Reply(229, (build_epsv_reply(way.port),))
    host = await visit.server.advertisement.host_for(visit.network, peer, local)
    return Reply(227, (build_pasv_reply(InternetAddress(host, way.port)),))


@carries_out(acts.Call)
async def _call(visit: Visit, act: acts.Call) -> Reply | None:
    local = visit.control.local
    assert isinstance(local, InternetAddress)
    await visit.prepare(Active(visit.network, act.address, local))
    return Reply(200, ("The data connection will come to you.",))

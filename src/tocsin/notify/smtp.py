"""The real SMTP port: one connection, one mail, one recipient."""

from __future__ import annotations

import asyncio
import ssl

import aiosmtplib

from tocsin.model.ports import SmtpAnswer


class RealSmtp:
    """Sends through aiosmtplib. `security` is `starttls`, `tls` (implicit) or `none`."""

    def __init__(self, *, context: ssl.SSLContext | None = None, hello: str | None = None) -> None:
        self._context = context
        self._hello = hello

    async def _tls(self) -> ssl.SSLContext:
        """The system's certificates, loaded once and off the event loop (it takes tens of milliseconds)."""
        if self._context is None:
            self._context = await asyncio.to_thread(ssl.create_default_context)
        return self._context

    async def send(
        self,
        *,
        host: str,
        port: int,
        security: str,
        username: str,
        password: str,
        sender: str,
        recipient: str,
        message: bytes,
        timeout_s: float = 20.0,
    ) -> SmtpAnswer:
        """The server's last word. `sent` is True when it may have taken the message although no answer came."""
        client = aiosmtplib.SMTP(
            hostname=host,
            port=port,
            timeout=timeout_s,
            use_tls=security == "tls",
            start_tls=security == "starttls",
            tls_context=await self._tls() if security != "none" else None,
            local_hostname=self._hello,
        )
        in_data = False
        try:
            async with asyncio.timeout(timeout_s):
                await client.connect()
                if username:
                    await client.login(username, password)
                await client.mail(sender)
                await client.rcpt(recipient)
                in_data = True
                code, text = await client.data(message)
                return SmtpAnswer(code, str(text), sent=True)
        except aiosmtplib.SMTPResponseException as error:
            return SmtpAnswer(error.code, str(error.message), sent=False)
        except aiosmtplib.SMTPRecipientsRefused as error:
            first = error.recipients[0]
            return SmtpAnswer(first.code, str(first.message), sent=False)
        except TimeoutError:
            return SmtpAnswer(0, f"no answer within {timeout_s:g} s", sent=in_data)
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError) as error:
            return SmtpAnswer(0, str(error) or type(error).__name__, sent=in_data)
        finally:
            await _leave(client)


async def _leave(client: aiosmtplib.SMTP) -> None:
    """Say QUIT, but never wait for it: the mail is already taken or refused."""
    try:
        async with asyncio.timeout(2.0):
            if client.is_connected:
                await client.quit()
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        pass
    client.close()

"""The shop: a Starlette application with a database behind a connection pool and a payment provider."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path

import sqlalchemy as sa
from faults import Faults
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from tocsin_instrument import payments
from tocsin_instrument import sqlalchemy as measured_sqlalchemy
from tocsin_instrument.starlette import instrument

PRODUCTS = 50
MOST_CONNECTIONS = 10


class DatabaseAway(Exception):
    """The database does not accept connections."""


class Shop:
    """The application and what it uses."""

    def __init__(self, folder: Path, faults: Faults) -> None:
        self._faults = faults
        self._engine = sa.create_engine(
            f"sqlite:///{folder / 'shop.db'}",
            poolclass=QueuePool,
            pool_size=5,
            max_overflow=MOST_CONNECTIONS - 5,
            pool_timeout=1.0,
        )
        measured_sqlalchemy.instrument(self._engine, name="shop")
        self._fill()
        self._leaked: list[sa.Connection] = []
        faults.listen(self._switched)
        self.app = Starlette(
            routes=[
                Route("/", self.front),
                Route("/health", self.health),
                Route("/products/{number:int}", self.product),
                Route("/checkout", self.checkout, methods=["POST"]),
                Route("/faults/{name}/{state}", self.switch, methods=["POST"]),
            ]
        )
        instrument(self.app)

    # -- pages ---------------------------------------------------------------------------------------------------------

    async def front(self, request: Request) -> Response:
        return PlainTextResponse("Welcome to the shop\n")

    async def health(self, request: Request) -> Response:
        try:
            count = await run_in_threadpool(self._count)
        except (SQLAlchemyError, DatabaseAway) as error:
            return JSONResponse({"status": "failing", "database": str(error)[:200]}, 503)
        return JSONResponse({"status": "ok", "products": count})

    async def product(self, request: Request) -> Response:
        if "latency" in self._faults:
            await asyncio.sleep(random.uniform(1.5, 2.5))
        if "errors" in self._faults and random.random() < 0.33:
            return JSONResponse({"error": "overloaded"}, 503)
        try:
            name = await run_in_threadpool(self._product, request.path_params["number"])
        except (SQLAlchemyError, DatabaseAway) as error:
            return JSONResponse({"error": type(error).__name__}, 500)
        return JSONResponse({"name": name}) if name else JSONResponse({"error": "no such product"}, 404)

    async def checkout(self, request: Request) -> Response:
        method = random.choice(["card", "card", "card", "sepa"])
        await asyncio.sleep(random.uniform(0.05, 0.2))
        if random.random() < (0.7 if "payments" in self._faults else 0.02):
            payments.failure(method, reason="declined" if method == "card" else "provider_timeout")
            return JSONResponse({"error": "payment failed"}, 402)
        payments.success(method)
        return JSONResponse({"paid": True})

    async def switch(self, request: Request) -> Response:
        """`curl -X POST .../faults/errors/on` breaks it by hand."""
        try:
            self._faults.set(request.path_params["name"], request.path_params["state"] == "on")
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", 404)
        return PlainTextResponse("done\n")

    # -- database ------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        with self._engine.begin() as connection:
            connection.execute(sa.text("create table if not exists products (id integer primary key, name text)"))
            connection.execute(sa.text("delete from products"))
            connection.execute(
                sa.text("insert into products values (:id, :name)"), [{"id": i, "name": f"Product {i}"} for i in range(PRODUCTS)]
            )

    def _count(self) -> int:
        self._reachable()
        with self._engine.connect() as connection:
            return int(connection.execute(sa.text("select count(*) from products")).scalar_one())

    def _product(self, number: int) -> str | None:
        self._reachable()
        with self._engine.connect() as connection:
            return connection.execute(sa.text("select name from products where id = :id"), {"id": number}).scalar()

    def _reachable(self) -> None:
        if "database" in self._faults:
            raise DatabaseAway("connection refused")

    def _switched(self, name: str, broken: bool) -> None:
        """The pool fault leaks every connection until it heals."""
        if name != "pool":
            return
        if broken:
            threading.Thread(target=self._leak, daemon=True).start()
        else:
            while self._leaked:
                self._leaked.pop().close()

    def _leak(self) -> None:
        """As they come back from requests: those in use now are leaked next."""
        while "pool" in self._faults and len(self._leaked) < MOST_CONNECTIONS:
            try:
                self._leaked.append(self._engine.connect())
            except SQLAlchemyError:
                continue  # none came back in time
        if "pool" not in self._faults:
            self._switched("pool", False)

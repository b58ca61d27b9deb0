"""Spanish: what is said of the server's side: change, delivery, counters, the shared machine."""

from __future__ import annotations

SERVER = {
    "TTFT and TPOT held through the window": "TTFT y TPOT se mantuvieron durante la ventana",
    "too few requests to tell whether the server changed under the load": (
        "demasiado pocas solicitudes para saber si el servidor cambió bajo la carga"
    ),
    "one figure does not stand for both parts: look for throttling, a cache that fills or others on the server, and "
    "give the part that is meant by --warmup or --window": (
        "una sola cifra no vale para ambas partes: buscar limitación térmica, una caché que se llena u otros en el "
        "servidor, y dar la parte que se quiere con --warmup o --window"
    ),
    "{} rose by {} at {} s: p50 {} ms before, {} ms after": "{} subió un {} a los {} s: p50 {} ms antes, {} ms después",
    "{} fell by {} at {} s: p50 {} ms before, {} ms after": "{} bajó un {} a los {} s: p50 {} ms antes, {} ms después",
    "{} rose by {} through the window: p50 {} ms at first, {} ms at last": (
        "{} subió un {} durante la ventana: p50 {} ms al principio, {} ms al final"
    ),
    "{} fell by {} through the window: p50 {} ms at first, {} ms at last": (
        "{} bajó un {} durante la ventana: p50 {} ms al principio, {} ms al final"
    ),
}

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
    "not measurable: events come in bursts of {}, collected by the server or on their way (proxy buffering)": (
        "no medible: los eventos llegan en ráfagas de {}, acumulados por el servidor o por el camino (búfer de un "
        "proxy)"
    ),
    "not measurable: replies came in one piece, collected by the server or on its way (proxy buffering); NTPOT, with "
    "the wait for the first token in it, is what is known": (
        "no medible: las respuestas llegaron de una pieza, acumuladas por el servidor o por el camino (búfer de un "
        "proxy); lo que se sabe es NTPOT, que incluye la espera del primer token"
    ),
    "events come in bursts of {}, {} apart: ITL and TTFT are the path's, for {} came together with the one before": (
        "los eventos llegan en ráfagas de {}, cada {}: ITL y TTFT son del camino, pues {} llegaron junto con el "
        "anterior"
    ),
    "events that came together with the one before, not by the client's lateness (replies of 2 tokens or more)": (
        "eventos que llegaron junto con el anterior, no por retraso del cliente (respuestas de 2 tokens o más)"
    ),
    "of these replies: those whose output came at once": "de esas respuestas: aquellas cuya salida llegó de una vez",
    "{} of replies came in one piece": "{} de las respuestas llegaron de una pieza",
    "{} of events came together with the one before": "{} de los eventos llegaron junto con el anterior",
    "something between server and client collects the stream, or the server sends several events at once: turn off the "
    "proxy's buffering (nginx: proxy_buffering off), or measure the server itself": (
        "algo entre el servidor y el cliente acumula el flujo, o el servidor envía varios eventos a la vez: desactivar "
        "el búfer del proxy (nginx: proxy_buffering off), o medir el propio servidor"
    ),
    "the server tells no TTFT of its own for the same requests": (
        "el servidor no dice ningún TTFT propio de las mismas solicitudes"
    ),
    "TTFT was {} ms mean at the client and {} ms by the server's own clock ({}, {} requests)": (
        "el TTFT fue de {} ms de media en el cliente y de {} ms según el reloj del servidor ({}, {} solicitudes)"
    ),
    "what lies between them is in every figure: look for a proxy that buffers, a front end that is busy, or a network "
    "that is slow": (
        "lo que hay entre ambos está en todas las cifras: buscar un proxy con búfer, un frontal ocupado o una red lenta"
    ),
    "server on this machine: the most of its time that the load can have taken from it": (
        "servidor en esta máquina: lo máximo de su tiempo que la carga pudo quitarle"
    ),
    "load from another machine, pin the server to other cores, or accept it with --shared-host": (
        "cargar desde otra máquina, fijar el servidor a otros núcleos, o aceptarlo con --shared-host"
    ),
    "server on this machine": "servidor en esta máquina",
    "server on this machine ({})": "servidor en esta máquina ({})",
    "{}: what the load took from it was not measured": "{}: no se midió lo que la carga le quitó",
    "{}: the load took at most {} of its time, by {}": "{}: la carga le quitó como mucho {} de su tiempo, según {}",
    "{}; it was declared by --shared-host": "{}; se declaró con --shared-host",
    "the time that its threads waited for a core": "el tiempo que sus hilos esperaron un núcleo",
    "the time in which anything on this machine waited for a core": (
        "el tiempo en que algo de esta máquina esperó un núcleo"
    ),
    "the CPU time of the load": "el tiempo de CPU de la carga",
    "requests that the server counted beyond those of this run": (
        "solicitudes que el servidor contó además de las de esta ejecución"
    ),
    "requests that the server preempted in the window": "solicitudes que el servidor desalojó en la ventana",
    "the server has no page of counters": "el servidor no tiene página de contadores",
    "the server started anew while the run lasted, or its counters went down": (
        "el servidor se reinició durante la ejecución, o sus contadores bajaron"
    ),
    "what it had in its caches was lost: run again, and see why it restarts": (
        "lo que tenía en sus cachés se perdió: repetir, y ver por qué se reinicia"
    ),
    "the server's KV cache went from {} to {} while the run lasted": (
        "la caché KV del servidor pasó de {} a {} durante la ejecución"
    ),
    "before and after are two servers: run again": "antes y después son dos servidores: repetir",
    "the server's counters did not start anew": "los contadores del servidor no volvieron a empezar",
    "the server counts no requests": "el servidor no cuenta las solicitudes",
    "the server counted {} requests where this run sent {}": (
        "el servidor contó {} solicitudes donde esta ejecución envió {}"
    ),
    "the server counted {} output tokens where this run got {}": (
        "el servidor contó {} tokens de salida donde esta ejecución recibió {}"
    ),
    "another client loads this server: its requests are in every figure, so run when it is alone": (
        "otro cliente carga este servidor: sus solicitudes están en todas las cifras; ejecutar cuando esté solo"
    ),
    "the server preempted {} requests": "el servidor desalojó {} solicitudes",
    "its KV cache was full, and what was thrown out was computed again: lower the load, or give it more memory": (
        "su caché KV estaba llena y lo expulsado se calculó otra vez: bajar la carga o darle más memoria"
    ),
    "not all that this run sent is recorded: others cannot be told from it": (
        "no todo lo que esta ejecución envió está registrado: no se distinguen otros clientes"
    ),
    "too few looks at the server to tell how many requests it ran": (
        "demasiado pocas miradas al servidor para saber cuántas solicitudes ejecutó"
    ),
    "the server ran {} requests at most while {} of {} users had one in flight": (
        "el servidor ejecutó {} solicitudes como mucho mientras {} de {} usuarios tenían una en curso"
    ),
    "the rest waited for a place, and TTFT holds it: raise the server's limit (max-num-seqs, max-running-requests, "
    "slots), or ask for fewer users": (
        "el resto esperó un lugar, y el TTFT lo incluye: subir el límite del servidor (max-num-seqs, "
        "max-running-requests, slots), o pedir menos usuarios"
    ),
    "the server ran {} requests at most": "el servidor ejecutó {} solicitudes como mucho",
    "the server took {} of the prompt tokens from its cache, by its own counters": (
        "el servidor tomó {} de los tokens de prompt de su caché, según sus propios contadores"
    ),
    "users are in step (R = {}): TTFT shows no collisions; --output-tokens uniform:{},{} spreads them": (
        "los usuarios van al compás (R = {}): el TTFT no muestra colisiones; --output-tokens uniform:{},{} los separa"
    ),
    "the server's queue": "la cola del servidor",
    "waiting for a place under the cap on concurrency": "la espera de un lugar bajo el tope de concurrencia",
    "the server's front end": "el frontal del servidor",
    "the way to the first token": "el camino hasta el primer token",
    "decoding": "la decodificación",
    "most of E2E is {}: {} of {} ms": "la mayor parte del E2E es {}: {} de {} ms",
    "most of E2E is {}: {} of {} ms: {}": "la mayor parte del E2E es {}: {} de {} ms: {}",
    "its KV cache was full": "su caché KV estaba llena",
    "it ran {} requests at most": "ejecutó {} solicitudes como mucho",
    "TTFT {}: {} {} \N{RIGHTWARDS ARROW} {} of it": "TTFT {}: {} {} \N{RIGHTWARDS ARROW} {} de él",
    "E2E {}: {} {} \N{RIGHTWARDS ARROW} {} ms of {} \N{RIGHTWARDS ARROW} {} ms": (
        "E2E {}: {} {} \N{RIGHTWARDS ARROW} {} ms de {} \N{RIGHTWARDS ARROW} {} ms"
    ),
}

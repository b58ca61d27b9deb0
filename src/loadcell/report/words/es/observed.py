"""Spanish: what was watched beside the load: server, GPUs, energy and this machine."""

from __future__ import annotations

QUANTITIES = {
    "Running": "En ejecución",
    "Waiting": "En espera",
    "Gateway's queue": "Cola de la pasarela",
    "KV cache": "Caché KV",
    "Fullest KV cache": "Caché KV más llena",
    "Prefix cache hits": "Aciertos de la caché de prefijos",
    "Prefix cache queries": "Consultas a la caché de prefijos",
    "Preemptions": "Desalojos",
    "Prompt tokens": "Tokens de entrada",
    "Output tokens": "Tokens de salida",
    "Finished": "Terminadas",
    "GPU power": "Potencia de las GPU",
    "GPU energy": "Energía de las GPU",
    "GPU busy": "Ocupación de las GPU",
    "GPU memory": "Memoria de las GPU",
    "GPU temperature": "Temperatura de las GPU",
    "GPU clock": "Reloj de las GPU",
    "Busiest core": "Núcleo más ocupado",
    "Memory": "Memoria",
    "Load average": "Carga media",
    "threads": "hilos",
}

SERVER = {
    "vLLM metrics": "métricas de vLLM",
    "llama.cpp timings": "tiempos de llama.cpp",
    "vLLM Prometheus": "Prometheus de vLLM",
    "SGLang Prometheus": "Prometheus de SGLang",
    "llama.cpp Prometheus": "Prometheus de llama.cpp",
    "the server does not tell how long a request queued: that is in the unattributed part": (
        "el servidor no dice cuánto esperó en cola una solicitud: eso queda en la parte sin atribuir"
    ),
    "queue and prefill are more than the TTFT of {} requests: the server's times are wrong": (
        "cola y prefill superan el TTFT de {} solicitudes: los tiempos del servidor están mal"
    ),
    "these are of all {} requests of the run, the latencies of the {} that the window counts": (
        "son de todas las {} solicitudes de la ejecución; las latencias, de las {} que cuenta la ventana"
    ),
    "the server counted {} requests more than this run got answers to: others load it too": (
        "el servidor contó {} solicitudes más de las que se respondieron a esta ejecución: otros también lo cargan"
    ),
    "the server counted {} requests fewer than this run: its page is of a part of them": (
        "el servidor contó {} solicitudes menos que esta ejecución: su página es de una parte de ellas"
    ),
    "by the server itself TTFT was {} ms mean, of which {} ms in its front end": (
        "según el propio servidor el TTFT medio fue de {} ms, de ellos {} ms en su capa de entrada"
    ),
    "prefill is the server's own TTFT less its queue: its front end is in it": (
        "el prefill es el TTFT del servidor menos su cola: incluye su capa de entrada"
    ),
    "prefill is the server's time for prompts over the {} requests of this run, for it counts none; prompts that "
    "it processed together may share that time": (
        "el prefill es el tiempo del servidor para prompts entre las {} solicitudes de esta ejecución, pues no cuenta "
        "ninguna; los prompts procesados juntos pueden compartir ese tiempo"
    ),
    "the server processed {} prompt tokens more than those of this run: others load it too, and their time is in "
    "this mean": (
        "el servidor procesó {} tokens de entrada más que los de esta ejecución: otros también lo cargan, y su tiempo "
        "está en esta media"
    ),
    "the server's counters went down, vanished or were no numbers: did it start anew during the run?": (
        "los contadores del servidor bajaron, desaparecieron o no eran números: ¿se reinició durante la ejecución?"
    ),
}

WATCHED = {
    "never asked: the run ended before": "nunca se le preguntó: la ejecución acabó antes",
    "never answered: {}": "nunca respondió: {}",
    "the same server as {}: counted once": "el mismo servidor que {=}: se cuenta una vez",
    "{} of {} looks failed, {} s without an answer: {}": "fallaron {} de {} consultas, {} s sin respuesta: {}",
    "none of its names is known here": "no se conoce ninguno de sus nombres",
    "{}: counters went down, away or were no numbers {}: did it start anew? What they gained then is not known": (
        "{=}: los contadores bajaron, desaparecieron o no eran números {}: ¿se reinició? No se sabe cuánto ganaron "
        "entonces"
    ),
    "once": "una vez",
    "{} times": "{} veces",
    "where a mean is missing, more than {} of the window was not seen": (
        "donde falta una media, no se vio más de {} de la ventana"
    ),
    "this machine's CPU was more than {} busy at {} of {} looks: what the client measured then may be its own": (
        "la CPU de esta máquina estuvo ocupada más de {} en {} de {} consultas: lo que midió entonces el cliente puede "
        "ser suyo"
    ),
    "{} ({}) tells of the GPUs of {} too: not counted twice": (
        "{=} ({=}) informa también de las GPU de {=}: no se cuentan dos veces"
    ),
    "{} ({}) stands in front of the servers that were watched: what both tell is theirs": (
        "{=} ({=}) está delante de los servidores observados: lo que ambos dicen es de estos"
    ),
    "{}, by {}: {}": "{}, según {=}: {}",
    "those taken from its cache are not in it": "no incluye los tomados de su caché",
    "those that wait inside the worker are in it": "incluye los que esperan dentro del proceso",
    "every request that the front end holds, those that wait among them": (
        "todas las solicitudes que retiene la capa de entrada, incluidas las que esperan"
    ),
    "until their first token, so that prefill is in it": "hasta su primer token, así que incluye el prefill",
}

ENERGY = {
    "energy counter": "contador de energía",
    "{} energy counter": "contador de energía de {=}",
    "{} power": "potencia de {=}",
    "{} ({} of {} GPUs)": "{} ({} de {} GPU)",
    "{} GPU told it, but the spec says that {} serve the endpoint": (
        "{} GPU lo dice, pero según la especificación {} atienden el endpoint"
    ),
    "{} GPUs told it, but the spec says that {} serve the endpoint": (
        "{} GPU lo dicen, pero según la especificación {} atienden el endpoint"
    ),
    "by {}, looked at every {} s; other work is in it": "por {}, consultado cada {} s; incluye otros trabajos",
    "it was not read around both ends of the window": "no se leyó alrededor de ambos extremos de la ventana",
    "the counter went back: the driver or the exporter started anew": (
        "el contador retrocedió: el controlador o el exportador se reinició"
    ),
    "it tells 0, as a GPU does that cannot measure it": "dice 0, como una GPU que no puede medirlo",
    "its power was not seen in the window": "no se vio su potencia en la ventana",
    "gaps of more than {} s between readings": "huecos de más de {} s entre lecturas",
    "power is unknown for {} of the window": "la potencia se desconoce en {} de la ventana",
    "only {} readings in the window of {} s; {} are needed": "solo {} lecturas en la ventana de {} s; hacen falta {}",
    "all {} readings are the same: the sensor is not read anew": "las {} lecturas son iguales: el sensor no se relee",
    "the reading changes every {} s only: too seldom for this window": (
        "la lectura solo cambia cada {} s: muy poco para esta ventana"
    ),
}

DETAIL = {
    "no request ended: there is nothing to draw": "ninguna solicitud terminó: no hay nada que dibujar",
    "no ok request in the window: there are no latencies to draw": (
        "ninguna solicitud correcta en la ventana: no hay latencias que dibujar"
    ),
    "no ok request of the window shows its {}": "ninguna solicitud correcta de la ventana muestra su {}",
    "{} of {} ok requests of the window do not show their {}": (
        "{} de {} solicitudes correctas de la ventana no muestran su {}"
    ),
    "{} requests have no time at all: they are not drawn": "{} solicitudes no tienen hora alguna: no se dibujan",
    "{} requests do not say when they ended: they are not counted in flight": (
        "{} solicitudes no dicen cuándo terminaron: no se cuentan en curso"
    ),
    "{} received events are missing: no tokens/s over time, and the gaps are those of the others": (
        "faltan {} eventos recibidos: sin tokens/s en el tiempo, y los intervalos son de los demás"
    ),
    "the distributions of {} are drawn by {} points at most: the smallest and the largest value are among them": (
        "las distribuciones de {} se dibujan con {} puntos como máximo: entre ellos, el valor menor y el mayor"
    ),
    "ITL is counted in bins: known to 0.002 % in its distribution, to 1 % over time and by concurrency": (
        "el ITL se cuenta en clases: se conoce al 0,002 % en su distribución, al 1 % en el tiempo y por concurrencia"
    ),
    "{} of {} requests are drawn: the extremes of each latency, all failures, and of the others a sample drawn by "
    "lot": (
        "se dibujan {} de {} solicitudes: las extremas de cada latencia, todas las fallidas, y del resto una muestra "
        "por sorteo"
    ),
    "{} of {} requests are drawn: the extremes of each latency, {} of {} failures, and of the others a sample "
    "drawn by lot": (
        "se dibujan {} de {} solicitudes: las extremas de cada latencia, {} de {} fallidas, y del resto una muestra "
        "por sorteo"
    ),
}

OBSERVED = {**DETAIL, **QUANTITIES, **SERVER, **WATCHED, **ENERGY}

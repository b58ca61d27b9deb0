"""Spanish: what differs between runs, and what the repeats of one tell."""

from __future__ import annotations

DIFFERENCES = {
    "none": "ninguno",
    "yes": "sí",
    "no": "no",
    "{} is an open loop, {} a closed loop": "{} es un bucle abierto, {} un bucle cerrado",
    "{} is a closed loop, {} an open loop": "{} es un bucle cerrado, {} un bucle abierto",
    "{} is streamed, {} not streamed": "{} va en streaming, {} sin streaming",
    "{} is not streamed, {} streamed": "{} va sin streaming, {} en streaming",
    "the server": "el servidor",
    "the tokenizer": "el tokenizador",
    "prompt tokens by the server over those planned: {} {}, {} {}": (
        "tokens de los prompts según el servidor sobre los planificados: {} {}, {} {}"
    ),
    "the prompt file has changed": "el archivo de prompts ha cambiado",
    "equal settings gave other schedules: loadcell has changed": (
        "los mismos ajustes dieron otros planes: loadcell ha cambiado"
    ),
    "prompt tokens from the server's cache: {} {}, {} {}": (
        "tokens de prompts tomados de la caché del servidor: {} {}, {} {}"
    ),
}

FIELDS = {
    "API": "API",
    "concurrency": "concurrencia",
    "SLO": "SLO",
    "proxy": "proxy",
    "loop": "bucle",
    "stream": "streaming",
    "prompts": "prompts",
    "input lengths": "longitudes de entrada",
    "output lengths": "longitudes de salida",
    "clock": "reloj",
    "definition of a percentile": "definición de percentil",
    "model": "modelo",
    "requests/s": "solicitudes/s",
    "arrivals": "llegadas",
    "ramp asked for (s)": "rampa pedida (s)",
    "load kept on to the last reply": "carga mantenida hasta la última respuesta",
    "seed": "semilla",
    "tokenizer": "tokenizador",
    "end of sequence ignored": "fin de secuencia ignorado",
    "extra body fields": "campos adicionales del cuerpo",
    "source of the token counts": "fuente de los recuentos de tokens",
    "window": "ventana",
    "definition of an interval": "definición de intervalo",
    "connections reused": "conexiones reutilizadas",
    "client's CPU": "CPU del cliente",
    "client's cores": "núcleos del cliente",
    "client's system": "sistema del cliente",
    "prompts counted by": "quién cuenta los prompts",
    "column of the prompts": "columna de los prompts",
    "where the server runs": "dónde corre el servidor",
    "workers": "procesos de carga",
}

REPEATS = {
    "run {} was not like run 1: {}": "la ejecución {} no fue como la 1: {}",
    "{} {} instead of {}": "{=} {=} en vez de {=}",
    "run {} sent the same prompts as run 1: a prefix cache of the server may have answered them": (
        "la ejecución {} envió los mismos prompts que la 1: puede haberlos respondido una caché de prefijos del "
        "servidor"
    ),
    "{} run cannot tell how runs differ: repeat {} times or more": (
        "{} ejecución no dice cuánto difieren las ejecuciones: repetir {} veces o más"
    ),
    "{} runs cannot tell how runs differ: repeat {} times or more": (
        "{} ejecuciones no dicen cuánto difieren las ejecuciones: repetir {} veces o más"
    ),
    "runs differ more than the samples within a run explain: restart or cache effects. Judge by the spread between "
    "runs, not by the interval of one: {}": (
        "las ejecuciones difieren más de lo que explican las muestras de cada una: efectos de reinicio o caché. Juzgar "
        "por la dispersión entre ejecuciones, no por el intervalo de una: {}"
    ),
    "the samples within a run explain how runs differ: {}": (
        "las muestras de cada ejecución explican cuánto difieren: {}"
    ),
    "whether runs differ more than their samples explain cannot be told: no interval within the runs": (
        "no se puede saber si las ejecuciones difieren más de lo que explican sus muestras: no hay intervalo dentro de "
        "ellas"
    ),
}

RUNS = {
    **DIFFERENCES,
    **{f"{field}: {{}} {{}}, {{}} {{}}": f"{other}: {{}} {{}}, {{}} {{}}" for field, other in FIELDS.items()},
    **REPEATS,
}

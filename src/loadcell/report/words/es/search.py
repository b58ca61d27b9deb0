"""Spanish: what a sweep says of its stages, its answer and its curves."""

from __future__ import annotations

ANSWERS = {
    "not answered: the bracket rests on INVALID stages ({})": (
        "sin respuesta: la horquilla se apoya en etapas NO VÁLIDAS ({})"
    ),
    "{} requests/s": "{} solicitudes/s",
    "{} user": "{} usuario",
    "{} users": "{} usuarios",
    "failed requests": "solicitudes fallidas",
    "nothing": "nada",
    "none holds": "ninguna lo cumple",
    "all hold": "todas lo cumplen",
    "bracketed": "acotado",
    "undecided": "sin decidir",
    "unfinished": "sin terminar",
    "stages of {} s cannot show that {} % is kept: with requests of {} s they need {} s at least, were none to "
    "miss, and some times that near the boundary": (
        "etapas de {} s no pueden mostrar que se cumple el {} %: con solicitudes de {} s necesitan al menos {} s si "
        "ninguna falla, y varias veces eso cerca de la frontera"
    ),
    "Give --duration {}s": "Dar --duration {=}s",
    "{}, or ask for no more than --attainment {}%": "{}, o no pedir más de --attainment {=}%",
    "no request of one user alone came back in time to be judged, and its E2E sets the lengths of all other "
    "stages: give a longer --duration, or see the report of stage 1": (
        "ninguna solicitud de un único usuario volvió a tiempo para juzgarla, y su E2E fija la duración de las demás "
        "etapas: dar un --duration más largo, o ver el informe de la etapa 1"
    ),
    "not monotone: {} held the SLO although {} did not: the server is not the same from one stage to the next": (
        "no es monótono: {} cumplió el SLO aunque {} no: el servidor no es el mismo de una etapa a otra"
    ),
    "unstable: stages at {} contradict each other, with other arrivals and nothing else changed": (
        "inestable: las etapas a {} se contradicen, con otras llegadas y nada más cambiado"
    ),
    "a cliff: attainment falls to {} within {} of load; do not read a value off between the ends, and run well "
    "below the lower one": (
        "caída brusca: el cumplimiento cae a {} en {} de carga; no interpolar entre los extremos, y operar muy por "
        "debajo del inferior"
    ),
    "the bracket is {} wide, {} was asked: stages of {} s do not tell loads apart that are nearer to each other; "
    "longer ones (--duration) would": (
        "la horquilla mide {}, se pidió {}: etapas de {} s no distinguen cargas más próximas; otras más largas "
        "(--duration) sí"
    ),
    "the bracket is {} wide, {} was asked: stages of {} s do not tell loads apart that are nearer to each other "
    "(undecided: {}); longer ones (--duration) would": (
        "la horquilla mide {}, se pidió {}: etapas de {} s no distinguen cargas más próximas (sin decidir: {}); otras "
        "más largas (--duration) sí"
    ),
    "an end of the bracket did not pass or fail beyond doubt; longer stages (--duration) would tell": (
        "un extremo de la horquilla no quedó decidido sin duda; etapas más largas (--duration) lo dirían"
    ),
    "the search ended after {} stages without settling": "la búsqueda terminó tras {} etapas sin asentarse",
    "no load holds the SLO: one user alone misses it, by {}": (
        "ninguna carga cumple el SLO: un único usuario ya lo incumple, por {}"
    ),
    "no load holds the SLO: {}, the lowest tried, fails by {}": (
        "ninguna carga cumple el SLO: {}, la menor probada, falla por {}"
    ),
    "every load up to {}, the highest allowed, holds the SLO": "toda carga hasta {}, la mayor permitida, cumple el SLO",
    "holds the SLO for {} of requests up to {}, fails at {}; {} breaks first": (
        "cumple el SLO para el {} de las solicitudes hasta {}, falla a {}; lo primero que se rompe: {}"
    ),
    "{}: holds the SLO for {} of requests up to {}, fails at {}; {} breaks first": (
        "{}: cumple el SLO para el {} de las solicitudes hasta {}, falla a {}; lo primero que se rompe: {}"
    ),
    "likely between {} and {}": "probablemente entre {} y {}",
    "likely above {}": "probablemente por encima de {}",
    "likely below {}": "probablemente por debajo de {}",
    "{} for {} of requests; {} kept {}, {}; {} breaks first": (
        "{} para el {} de las solicitudes; {} cumplió {}, {}; lo primero que se rompe: {}"
    ),
    "{}: {} for {} of requests; {} kept {}, {}; {} breaks first": (
        "{}: {} para el {} de las solicitudes; {} cumplió {}, {}; lo primero que se rompe: {}"
    ),
    "likely": "probable",
    "holds, in a short stage alone": "cumple, solo en una etapa corta",
    "fails, in a short stage alone": "falla, solo en una etapa corta",
    "holds": "cumple",
    "fails": "falla",
    "the search ended with a bracket that has no end on one side: about {} in all would do (--max-time)": (
        "la búsqueda terminó con una horquilla sin fin por un lado: bastarían unos {} en total (--max-time)"
    ),
    "the search ended with a bracket {} wide, {} was asked: about {} in all would do (--max-time)": (
        "la búsqueda terminó con una horquilla de {}, se pidió {}: bastarían unos {} en total (--max-time)"
    ),
    "the client stood still for a moment in {} of {} stages: {} requests that were in the air then are left out of "
    "the judgement": (
        "el cliente se detuvo un momento en {} de {} etapas: {} solicitudes que estaban en curso no se juzgan"
    ),
    "unfinished: the floor was not measured": "sin terminar: no se midió la base",
    "holds at {}": "se cumple a {}",
    "fails at {}": "falla a {}",
    "no load was decided": "no se decidió ninguna carga",
}

STAGES = {
    "stage {}": "etapa {}",
    "stages {}": "etapas {}",
    "{} to {}": "{} a {}",
    "{} of {} did not run; to go on: loadcell sweep {} --resume": (
        "no se ejecutaron: {} de {}; para seguir: loadcell sweep {=} --resume"
    ),
    "stage {}: {}": "etapa {}: {}",
    "stage {}: {}; --resume runs it again": "etapa {}: {}; --resume la repite",
    "its figures cannot be had": "no se pueden obtener sus cifras",
    "not counted, for they do not say which stage they are: {}; --resume runs them again": (
        "no contadas, pues no dicen qué etapa son: {=}; --resume las repite"
    ),
    "set aside because they were cut off, and counted nowhere: {}": "apartadas por estar cortadas, y no contadas: {=}",
    "see its report": "véase su informe",
    "{} INVALID: {}": "{} NO VÁLIDA: {}",
    "{} INVALID, stage {} because: {}": "{} NO VÁLIDAS; la etapa {} porque: {}",
    "{} unstable: latencies there grow with the length of the stage. They are in the table, and in no Pareto front "
    "and no fit": (
        "{} inestable: allí las latencias crecen con la duración de la etapa. Está en la tabla, pero no en el frente "
        "de Pareto ni en el ajuste"
    ),
    "{} changed at stage {}: {}; the stages are not alike": "{} cambió en la etapa {}: {=}; las etapas no son iguales",
    "the model": "el modelo",
    "the server's address": "la dirección del servidor",
    "the version of loadcell": "la versión de loadcell",
    "client and server share this machine's cores: more load slows the server by more than its own work": (
        "cliente y servidor comparten los núcleos de esta máquina: más carga frena al servidor más de lo que pesa su "
        "trabajo"
    ),
    "{}: the server took prompts from its prefix cache, and is faster there than for new ones": (
        "{}: el servidor tomó prompts de su caché de prefijos, y ahí es más rápido que con prompts nuevos"
    ),
    "stages differ in {}: their tokens/s are those of different work": (
        "las etapas difieren en {=}: sus tokens/s son de trabajos distintos"
    ),
    "{} stage is as another and run once": "{} etapa es igual a otra y se ejecuta una vez",
    "{} stages are as another and run once": "{} etapas son iguales a otras y se ejecutan una vez",
    "load.concurrency caps every stage: at most {} requests are in flight": (
        "load.concurrency limita cada etapa: como mucho {} solicitudes en curso"
    ),
    "{}: {} of the loads is there before and run once": "{=}: {} de las cargas ya estaba y se ejecuta una vez",
    "{}: {} of the loads are there before and run once": "{=}: {} de las cargas ya estaban y se ejecutan una vez",
    "{} requests were still on the server {} s after the stage before: they slow this one": (
        "{} solicitudes seguían en el servidor {} s después de la etapa anterior: frenan esta"
    ),
    "interrupted by a person": "interrumpida a mano",
    "the process was ended before the stage was": "el proceso terminó antes que la etapa",
    "it broke off": "se cortó",
    "saturated: the queue grew by {} requests/s (95 % interval {} to {})": (
        "saturado: la cola creció {} solicitudes/s (intervalo del 95 %: de {} a {})"
    ),
    "decided: {}": "decidido: {}",
    "too near to the boundary to be decided: {}": "demasiado cerca de la frontera para decidir: {}",
    "the queue grows: no limit can hold": "la cola crece: ningún límite puede cumplirse",
    "{} of {} requests kept to the SLO, more than {} % will": (
        "{} de {} solicitudes cumplieron el SLO; lo cumplirá más del {} %"
    ),
    "{} of {} requests kept to the SLO, less than {} % will": (
        "{} de {} solicitudes cumplieron el SLO; lo cumplirá menos del {} %"
    ),
    "{} of {} requests kept to the SLO, not clear whether more or less than {} % will": (
        "{} de {} solicitudes cumplieron el SLO; no está claro si lo cumplirá más o menos del {} %"
    ),
}

CURVES = {
    "without figures": "sin cifras",
    "cut off": "cortada",
    "unstable": "inestable",
    "output tokens/s against load": "tokens de salida/s frente a la carga",
    "p99 TTFT against load": "TTFT p99 frente a la carga",
    "Kneedle (Satopaa et al. 2011), S = 1, without smoothing": "Kneedle (Satopaa et al. 2011), S = 1, sin suavizado",
    "{} shows no knee between {} and {}": "{} no muestra codo entre {} y {}",
    "{} bends at {}, among loads from {} to {}: it moves with that range, and decides nothing": (
        "{} se dobla en {}, entre cargas de {} a {}: se mueve con ese rango, y no decide nada"
    ),
    "output tokens/s": "tokens de salida/s",
    "a peak at {} requests in flight": "un pico con {} solicitudes en curso",
    "a peak at {} requests in flight, beyond the {} that were measured: a guess": (
        "un pico con {} solicitudes en curso, más allá de las {} medidas: una conjetura"
    ),
    "no peak, but a ceiling of {} tokens/s": "ningún pico, pero sí un techo de {} tokens/s",
    "no peak and no ceiling within what was measured": "ni pico ni techo dentro de lo medido",
    "no peak: more in flight brought less from the start": "ningún pico: más en curso rindió menos desde el principio",
    "by the law fitted to {} stages there is {}. It explains the curve and decides nothing": (
        "según la ley ajustada a {} etapas hay {}. Explica la curva y no decide nada"
    ),
}

SEARCH = {**ANSWERS, **STAGES, **CURVES}

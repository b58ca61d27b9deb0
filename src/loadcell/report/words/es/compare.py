"""Spanish: what a comparison says."""

from __future__ import annotations

COMPARE = {
    "comparable": "comparables",
    "not comparable": "no comparables",
    "comparable with care": "comparables con cuidado",
    "better": "mejor",
    "worse": "peor",
    "no difference shown": "sin diferencia demostrada",
    "too little data": "muy pocos datos",
    "{} and {} are the same run": "{} y {} son la misma ejecución",
    "{}'s run is {}": "la ejecución de {} está {}",
    "interrupted": "interrumpida",
    "broken": "cortada",
    "running": "sin terminar",
    "{}'s run was ended early ({}): its figures are of its beginning": (
        "la ejecución de {} se terminó antes de tiempo ({}): sus cifras son de su comienzo"
    ),
    "saturated": "saturada",
    "decided": "decidida",
    "{} is SUSPECT: {}": "{} es DUDOSO: {}",
    "{} is INVALID: {}": "{} NO es VÁLIDO: {}",
    "{} is SUSPECT: {} (and {} more)": "{} es DUDOSO: {} (y {} más)",
    "{} is INVALID: {} (and {} more)": "{} NO es VÁLIDO: {} (y {} más)",
    "{} is SUSPECT": "{=} es DUDOSO",
    "{} is INVALID": "{=} NO es VÁLIDO",
    "fewer than {} runs a side: only the first counts": "menos de {} ejecuciones por lado: solo cuenta la primera",
    "one run a side": "una ejecución por lado",
    "{}: differences between runs (restarts, caches) are not in these intervals": (
        "{}: las diferencias entre ejecuciones (reinicios, cachés) no están en estos intervalos"
    ),
    "{} run": "{} ejecución",
    "{} runs": "{} ejecuciones",
    "{} has {}: its spread between runs is taken to be the other's": (
        "{} tiene {}: su dispersión entre ejecuciones se toma igual a la del otro"
    ),
    "{} is a saved result: compared by estimates and intervals, without its requests": (
        "{} es un resultado guardado: se compara por estimaciones e intervalos, sin sus solicitudes"
    ),
    "{} are saved results: compared by estimates and intervals, without its requests": (
        "{} son resultados guardados: se comparan por estimaciones e intervalos, sin sus solicitudes"
    ),
    "the noise floor is that of another setting: {}": "el ruido de fondo es de otra configuración: {}",
    "within-run samples": "muestras de cada ejecución",
    "the intervals of both sides": "los intervalos de ambos lados",
    "Welch's t over {} and {} runs": "t de Welch sobre {} y {} ejecuciones",
    "Welch's t over {} and {} runs, a side with fewer takes the other's spread": (
        "t de Welch sobre {} y {} ejecuciones; un lado con menos toma la dispersión del otro"
    ),
    "no SLO": "sin SLO",
    "no request was planned": "no se planificó ninguna solicitud",
    "its limits cannot be judged": "sus límites no se pueden juzgar",
    "not measured": "sin medir",
    "it needs {} samples, there are {}": "necesita {} muestras, hay {}",
    "these are worth {} of the {} samples that it needs: some {} requests": (
        "estas equivalen a {} de las {} muestras que necesita: unas {} solicitudes"
    ),
    "these are worth {} samples: too few for a lower end": (
        "estas equivalen a {} muestras: muy pocas para un extremo inferior"
    ),
    "a mean of {} samples has no interval: it needs {}": "una media de {} muestras no tiene intervalo: necesita {}",
    "inconclusive: {}": "no concluyente: {}",
    "there is none": "no hay ninguna",
    "the window has no length": "la ventana no tiene duración",
    "replies do not say how many tokens they hold, or events are missing": (
        "las respuestas no dicen cuántos tokens contienen, o faltan eventos"
    ),
    "a side has no such figure": "un lado no tiene esa cifra",
    "cannot be judged: {}": "no se puede juzgar: {}",
    "the difference keeps to the bound": "la diferencia respeta el límite",
    "the difference keeps to the bound, but the data do not exclude one beyond it": (
        "la diferencia respeta el límite, pero los datos no excluyen una mayor"
    ),
    "beyond the bound, but not shown: {}": "más allá del límite, pero no demostrada: {}",
    "beyond the bound, but within the A/A noise": "más allá del límite, pero dentro del ruido A/A",
    "the difference is beyond the bound, and shown": "la diferencia supera el límite, y está demostrada",
    "not estimable in {}: {}": "no estimable en {=}: {}",
    "not estimable in {}, run {}: {}": "no estimable en {=}, ejecución {}: {}",
    "no interval: its samples (or a saved result) give none": (
        "sin intervalo: sus muestras (o un resultado guardado) no lo dan"
    ),
    "there is one, but it is smaller than {}": "la hay, pero es menor que {}",
    "within the A/A noise: more runs, not more requests, would tell": (
        "dentro del ruido A/A: lo dirían más ejecuciones, no más solicitudes"
    ),
    "{} needs about {} runs a side": "{} necesita unas {} ejecuciones por lado",
    "{} needs about {} requests a side": "{} necesita unas {} solicitudes por lado",
    "{} point": "{} punto",
    "{} points": "{} puntos",
    "not paired: {}": "no emparejadas: {}",
    "every request asks for the same lengths, so that pairs would gain little": (
        "todas las solicitudes piden las mismas longitudes, así que las parejas ganarían poco"
    ),
    "the sides have different numbers of runs": "los lados tienen distinto número de ejecuciones",
    "a saved result does not hold its requests": "un resultado guardado no contiene sus solicitudes",
    "a saved result does not hold it": "un resultado guardado no la contiene",
    "one is an open loop, the other a closed one": "uno es un bucle abierto, el otro uno cerrado",
    "{} requests ended well in both windows, {} are needed": (
        "{} solicitudes acabaron bien en ambas ventanas, se necesitan {}"
    ),
    "the schedules ask for other lengths: request {} for {} and {} {} tokens": (
        "los programas piden otras longitudes: la solicitud {}, {} y {} tokens de {}"
    ),
    "output": "salida",
    "input": "entrada",
    "paired by request: {} with the same lengths on both sides": (
        "emparejadas por solicitud: {} con las mismas longitudes en ambos lados"
    ),
    "{}; it gains little, for it is not lengths that vary": "{}; gana poco, pues no son las longitudes lo que varía",
    "{}; for it the interval of {} is {} times narrower": (
        "{}; gracias a ello, el intervalo de {} es {} veces más estrecho"
    ),
    "{} pairs of requests, {} are needed": "{} parejas de solicitudes, se necesitan {}",
    "pairs of turns in {} blocks": "parejas de turnos en {} bloques",
    "{} blocks of A B B A have ended, {} are needed: --requests {} would do": (
        "han acabado {} bloques de A B B A, se necesitan {}: bastaría --requests {}"
    ),
    (
        "{} turns a side of {} requests, in the order A B B A; each begins and ends without load, on both sides alike: "
        "how fast a side is under a load that stands tells a run"
    ): (
        "{} turnos por lado de {} solicitudes, en el orden A B B A; cada uno empieza y acaba sin carga, igual en ambos "
        "lados: lo rápido que es un lado bajo una carga sostenida lo dice una ejecución"
    ),
    "{} of {} couples of turns are left out as INVALID: {}": "{} de {} pares de turnos se omiten por NO VÁLIDOS: {}",
    "{} of {} couples of turns did not run to their end: {}": "{} de {} pares de turnos no llegaron a su fin: {}",
    "pairs of requests in {} blocks": "parejas de solicitudes en {} bloques",
    "pairs of runs, {} of them": "parejas de ejecuciones, {} de ellas",
    "Output tokens/s": "Tokens de salida/s",
    "Requests/s": "Solicitudes/s",
    "Failed": "Fallidas",
    "no floor, for not every run has them: {}": "sin ruido de fondo, pues no todas las ejecuciones las tienen: {}",
}

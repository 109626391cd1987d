"""Names that no local scope answers, as queries and relations of Laravel have methods of these names.

Source: the public methods of Eloquent/Builder.php, its traits and Eloquent/Relations, and the macros of
SoftDeletingScope.php, of 8.83, 9.52, 10.50, 11.45 and 13.26 together; in lower case.
"""

from __future__ import annotations

_NAMES = """
    addconstraints addeagerconstraints addoneofmanyjoinsubqueryconstraints addoneofmanysubqueryconstraints
    afterquery allrelatedids applyafterquerycallbacks applyscopes as associate attach attachorfail chaperone
    chunk chunkbyid chunkbyiddesc chunkmap clone constrain create createdat createmany createmanyquietly
    createmodelbytype createorfirst createorrestore createquietly cursor cursorpaginate decrement
    decrementeach delete detach detachorfail disassociate dissociate doesnthave doesnthavemorph each
    eachbyid eagerloadrelations except fillandinsert fillandinsertgetid fillandinsertorignore fillforinsert
    find findmany findor findorfail findornew findsole first firstor firstorcreate firstorfail firstornew
    firstwhere forcecreate forcecreatemany forcecreatemanyquietly forcecreatequietly forcedelete fromquery
    get getbasequery getchild getdictionary geteager geteagerloads getexistencecomparekey getfirstkeyname
    getforeignkeyname getforeignpivotkeyname getinverse getinverserelationship getlimit getlocalkeyname
    getmacro getmodel getmodels getmorphclass getmorphtype getoffset getoneofmanysubquery
    getoneofmanysubqueryselectcolumns getownerkeyname getparent getparentkey getparentkeyname
    getpivotaccessor getpivotclass getpivotcolumns getqualifiedfarkeyname getqualifiedfirstkeyname
    getqualifiedforeignkeyname getqualifiedforeignpivotkeyname getqualifiedlocalkeyname
    getqualifiedmorphtype getqualifiedmorphtypename getqualifiedownerkeyname getqualifiedparentkeyname
    getqualifiedrelatedkeyname getqualifiedrelatedpivotkeyname getquery getrelated getrelatedclass
    getrelatedkeyname getrelatedpivotkeyname getrelation getrelationcounthash getrelationexistencecountquery
    getrelationexistencequery getrelationexistencequeryforselfjoin getrelationexistencequeryforselfrelation
    getrelationexistencequeryforthroughselfrelation getrelationname getresults getsecondlocalkeyname
    gettable has hasmacro hasmorph hasnamedscope haspivotcolumn hydrate increment incrementeach
    incrementorcreate initrelation inverse is isnot isoneofmany latest latestofmany lazy lazybyid
    lazybyiddesc limit macro make makemany match matchmany matchone mergeconstraintsfrom modelkeys morphwith
    morphwithcount newexistingpivot newmodelinstance newpivot newpivotquery newpivotstatement
    newpivotstatementforid newrelatedinstancefor ofmany oldest oldestofmany onclone ondelete one onlytrashed
    orderbypivot orderbypivotdesc orderedchunkbyid ordoesnthave ordoesnthavemorph orhas orhasmorph orwhere
    orwhereattachedto orwherebelongsto orwheredoesnthave orwheredoesnthavemorph orwheredoesnthaverelation
    orwherehas orwherehasmorph orwherekey orwherekeynot orwheremorphdoesnthaverelation orwheremorphedto
    orwheremorphrelation orwherenot orwherenotmorphedto orwherepivot orwherepivotbetween orwherepivotin
    orwherepivotnotbetween orwherepivotnotin orwherepivotnotnull orwherepivotnull orwhererelation paginate
    pipe pluck qualifycolumn qualifycolumns qualifypivotcolumn qualifysubselectcolumn rawupdate
    relatedupdatedat removedscopes restore restoreorcreate save savemany savemanyquietly savequietly scopes
    seteagerloads setmodel setquery simplepaginate sole solevalue sync syncorfail syncwithoutdetaching
    syncwithoutdetachingorfail syncwithpivotvalues syncwithpivotvaluesorfail take tap
    throughparentsoftdeletes tobase toggle toggleorfail touch touchiftouching unless update updatedat
    updateexistingpivot updateexistingpivotorfail updateorcreate upsert using value valueorfail when where
    whereattachedto wherebelongsto wheredoesnthave wheredoesnthavemorph wheredoesnthaverelation wherehas
    wherehasmorph wherekey wherekeynot wheremorphdoesnthaverelation wheremorphedto wheremorphrelation
    wherenot wherenotmorphedto wherepivot wherepivotbetween wherepivotin wherepivotnotbetween
    wherepivotnotin wherepivotnotnull wherepivotnull whererelation with withaggregate withattributes withavg
    withcasts withcount withdefault withexists withglobalscope withmax withmin withonly without
    withoutchaperone withouteagerload withouteagerloads withoutglobalscope withoutglobalscopes
    withoutglobalscopesexcept withoutinverse withouttrashed withpivot withpivotvalue withsavepointifneeded
    withsum withtimestamps withtrashed withtrashedparents withwherehas withwhererelation
"""
QUERY_METHODS = frozenset(_NAMES.split())
